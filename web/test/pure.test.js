import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fold, middle, parts, tree } from '../js/diff.js';
import { Frames } from '../js/feed.js';
import { KEYS, place } from '../js/keys.js';
import { layers } from '../js/layers.js';
import { step, upto } from '../js/lives.js';
import { summary } from '../js/summary.js';
import { read, write } from '../js/url.js';
import { clock, count, micros, span } from '../js/words.js';

test('an address leads back to what it was made of', () => {
  const views = [
    { stream: 'main', seq: null, page: 'events', service: '', edge: '', cmp: null, q: '', z: null, epoch: '' },
    {
      stream: 'ci-1',
      seq: 32800,
      page: 'traffic',
      service: 'api',
      edge: 'web→orders',
      cmp: 129610,
      q: 'type:diff.* service:a b&c=1',
      z: [10, 20],
      epoch: '73r3',
    },
    { stream: 'a b%', seq: 0, page: 'broke', service: 'ä/ö', edge: 'a→b→c', cmp: 1, q: '#"<x>', z: null, epoch: '' },
  ];
  for (const view of views) {
    const url = new URL(write(view, { epoch: true }), 'http://h');
    const { pageSaid, ...back } = read(url.pathname, url.search);
    assert.deepEqual(back, view);
    assert.equal(pageSaid, view.page !== 'events');
  }
  assert.equal(read('/s/%', '?seq=-1&z=9..1&page=x&cmp=1e9').stream, '');
  assert.equal(read('/s/a', '?seq=1e3').seq, null);
});

test('times keep their microseconds', () => {
  assert.equal(micros('2026-11-21T00:55:56.546476Z'), Date.UTC(2026, 10, 21, 0, 55, 56) * 1000 + 546476);
  assert.equal(micros('2026-02-23T11:00:00.412803999+01:00'), Date.UTC(2026, 1, 23, 10) * 1000 + 412803);
  assert.ok(Number.isNaN(micros('yesterday')));
  assert.equal(clock(micros('2026-11-21T00:55:56.546476Z')), '00:55:56.546');
});

test('numbers are words that can be read', () => {
  assert.deepEqual([count(1, 'entry'), count(2, 'entry'), count(1200, 'failure')], ['1 entry', '2 entries', '1,200 failures']);
  assert.deepEqual(
    [span(394), span(15700), span(999600), span(4.1e6), span(61e6)].map((t) => t.replaceAll('\u202f', ' ')),
    ['394 µs', '16 ms', '1000 ms', '4.1 s', '1 min 1 s'],
  );
});

test('no key does two things, and the digits are the pages', () => {
  const keys = KEYS.flatMap((key) => key.keys);
  assert.equal(new Set(keys).size, keys.length);
});

test('g leads to a seq, a share, a time and a step', () => {
  const here = { first: 1, last: 1000, now: 8.64e10 * 20000 + 3.6e9, timeOf: () => 0, seqAt: (us) => us };
  assert.equal(place('4211', here), 4211);
  assert.equal(place('50%', here), 501);
  assert.equal(place('+30s', here), here.now + 3e7);
  assert.equal(place('-2m', here), here.now - 1.2e8);
  assert.equal(place('10:30:05', here), 8.64e10 * 20000 + 37805e6);
  assert.equal(place('2026-01-01T00:00:00Z', here), Date.UTC(2026, 0, 1) * 1000);
  assert.equal(place('somewhere', here), null);
});

test('paths are split where the hub splits them', () => {
  assert.deepEqual(parts('servers[name=a.b].ports[0]'), ['servers', '[name=a.b]', 'ports', '[0]']);
  assert.deepEqual(parts('"a.b"."c\\"d".e'), ['"a.b"', '"c\\"d"', 'e']);
});

test('a diff has every field of both once, and folding loses none', () => {
  const before = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`a.k${String(i).padStart(2, '0')}`, i]));
  const after = { ...before, 'a.k20': 'x', 'b.new': true };
  delete after['a.k39'];
  const rows = tree(before, after);
  assert.deepEqual(
    rows.filter((row) => !['same', 'group'].includes(row.op)).map((row) => [row.op, row.path]),
    [
      ['changed', 'a.k20'],
      ['removed', 'a.k39'],
      ['added', 'b.new'],
    ],
  );
  const folded = fold(rows, 3);
  const counted = folded.reduce((n, row) => n + (row.op === 'gap' ? row.count : 1), 0);
  assert.equal(counted, rows.length);
  assert.ok(folded.filter((row) => row.op === 'gap').length >= 2);
  assert.ok(folded[0].op === 'group' && folded[0].key === 'a', 'the group of a change stays above it');
  assert.deepEqual(fold(rows, 3, new Set(rows.keys())), rows);
  assert.deepEqual(middle('20', '5'), { head: 0, tail: 0 });
  assert.deepEqual(middle('timeout: 30s', 'timeout: 3s'), { head: 10, tail: 1 });
});

test('layers put callers before called, also in circles', () => {
  const { places } = layers(
    ['db', 'api', 'web', 'x'],
    [
      { source: 'web', target: 'api' },
      { source: 'api', target: 'db' },
      { source: 'db', target: 'web' },
      { source: 'x', target: 'x' },
    ],
  );
  const spots = new Set([...places.values()].map((place) => `${place.column} ${place.row}`));
  assert.equal(spots.size, places.size, 'no two in one place');
  const straight = layers(
    ['db', 'api', 'web'],
    [
      { source: 'web', target: 'api' },
      { source: 'api', target: 'db' },
    ],
  ).places;
  assert.deepEqual(
    ['web', 'api', 'db'].map((name) => straight.get(name).column),
    [0, 1, 2],
  );
});

test('frames are cut where they end, wherever the network cut them', () => {
  const text = 'id: e:8\nevent: request.completed\ndata: {"seq":8}\n\nevent: heartbeat\ndata: {"head":8}\n\n';
  for (let cut = 0; cut <= text.length; cut++) {
    const seen = [];
    const frames = new Frames((frame) => seen.push(frame));
    frames.push(text.slice(0, cut));
    frames.push(text.slice(cut));
    assert.deepEqual(seen, [
      { id: 'e:8', event: 'request.completed', data: '{"seq":8}' },
      { id: '', event: 'heartbeat', data: '{"head":8}' },
    ]);
  }
});

test('the step of a service is that of the moment', () => {
  const life = {
    told: 0,
    failures: [2, 5, 9],
    steps: [
      [1, 'starting'],
      [4, 'ready'],
      [8, 'failed'],
    ],
    changes: [],
    events: 3,
  };
  assert.deepEqual([upto(life.failures, 1), upto(life.failures, 5), upto(life.failures, 99)], [0, 2, 3]);
  assert.deepEqual(
    step(life, 6, (seq) => seq * 10),
    { now: 'ready', took: 30 },
  );
  assert.equal(step(life, 0, () => 0).now, '');
});

test('every event of the fixtures has words', () => {
  for (const name of ['v1/drift.jsonl', 'v1/rigd.jsonl', 'v1/hello.jsonl', 'causes/combination.jsonl']) {
    const lines = readFileSync(new URL(`../../fixtures/sessions/${name}`, import.meta.url), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const event of lines.filter((one) => one.seq)) {
      const words = summary(event)
        .map((piece) => piece[1])
        .join('');
      assert.ok(!words.includes('undefined') && !words.includes('[object'), `${event.type}: ${words}`);
    }
  }
});
