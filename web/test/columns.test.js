import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { ABSENT, classify, Columns, decode, FAILURE, NO_LATENCY, parseFilter, Rows } from '../js/columns.js';

const fixture = (name) =>
  readFileSync(new URL(`../../fixtures/sessions/${name}`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter((event) => event.seq);

/** An answer of the hub, made by hand. */
function answer(from, rows) {
  const n = rows.length;
  const names = { types: [], services: [], edges: [] };
  const number = (list, name) => {
    if (name === null) return 0xffff;
    const at = list.findIndex((one) => String(one) === String(name));
    return at < 0 ? list.push(name) - 1 : at;
  };
  const body = new ArrayBuffer(19 * n);
  const view = new DataView(body);
  rows.forEach((row, i) => {
    view.setFloat64(8 * i, row.time, true);
    view.setUint32(8 * n + 4 * i, row.latency ?? NO_LATENCY, true);
    view.setUint16(12 * n + 2 * i, number(names.types, row.type), true);
    view.setUint16(14 * n + 2 * i, number(names.services, row.service ?? null), true);
    view.setUint16(16 * n + 2 * i, number(names.edges, row.edge ?? null), true);
    view.setUint8(18 * n + i, row.flags ?? 0);
  });
  const json = new TextEncoder().encode(JSON.stringify({ epoch: 'e', from, to: from + n - 1, ...names }));
  const whole = new Uint8Array(19 * n + json.length + 4);
  whole.set(new Uint8Array(body));
  whole.set(json, 19 * n);
  new DataView(whole.buffer).setUint32(19 * n + json.length, json.length, true);
  return whole.buffer;
}

test('an answer of the hub becomes columns, in whatever order its blocks come', () => {
  const rows = Array.from({ length: 100 }, (_, i) => ({
    time: 1e15 + i,
    type: i % 2 ? 'a.b' : 'c.d',
    service: i % 3 ? null : 'api',
    edge: i % 5 ? null : ['web', 'api'],
    flags: i % 7 ? 0 : FAILURE,
    latency: i % 5 ? NO_LATENCY : i,
  }));
  const columns = new Columns(1);
  columns.reach(100);
  columns.put(decode(answer(51, rows.slice(50))));
  assert.equal(columns.has(50), false);
  assert.equal(columns.flags[0], ABSENT);
  columns.put(decode(answer(1, rows.slice(0, 50))));
  columns.put(decode(answer(41, rows.slice(40, 60))));
  assert.equal(columns.loaded, 100);
  rows.forEach((row, i) => {
    assert.equal(columns.typeOf(i + 1), row.type);
    assert.equal(columns.serviceOf(i + 1), row.service ?? '');
    assert.equal(columns.edgeOf(i + 1), row.edge ? 'web→api' : '');
    assert.equal(columns.latency[i], row.latency);
    assert.equal(columns.timeOf(i + 1), row.time);
  });
  assert.equal(columns.seqAt(1e15 + 40.5), 41);
  assert.throws(() => decode(answer(1, rows).slice(1)));
});

test('events are told apart as the hub tells them apart, in both dialects', () => {
  const failures = (events) => events.filter((event) => classify(event).flags & FAILURE).map((event) => event.seq);
  assert.deepEqual(failures(fixture('v1/drift.jsonl')), [5]);
  assert.deepEqual(failures(fixture('v1/rigd.jsonl')), [4, 6]);
  const row = classify(fixture('v1/rigd.jsonl')[3]);
  assert.deepEqual([row.edge, row.latency, row.flags >> 4], ['order→postgres', 15700, 5]);
  assert.equal(classify({ type: 'request.completed', source: 'a', target: 'b' }).flags & FAILURE, FAILURE);
  assert.equal(classify({ type: 'grpc.call.completed', grpc_status: 'OK' }).flags, 0);
});

test('rows that grow are those that would be made anew', () => {
  const events = fixture('causes/timeout.jsonl');
  for (const q of ['', 'failed', 'type:request.*', 'service:api failed', 'type:diff.*,snapshot.*', 'service:nobody']) {
    for (const zoom of [null, [20, 100]]) {
      const columns = new Columns(1);
      const filter = parseFilter(q);
      const growing = new Rows(columns, filter, zoom);
      for (const event of events) {
        columns.add(event);
        growing.grow();
      }
      const whole = new Rows(columns, filter, zoom);
      const seqs = (rows) => Array.from({ length: rows.count }, (_, i) => rows.seq(i));
      assert.deepEqual(seqs(growing), seqs(whole), q);
      seqs(whole).forEach((seq, i) => assert.equal(whole.row(seq), i));
      if (zoom) assert.ok(seqs(whole).every((seq) => seq >= 20 && seq <= 100));
    }
  }
});

test('an event twice is one event', () => {
  const columns = new Columns(1);
  assert.equal(columns.add({ seq: 1, type: 'a.b', ts: '2026-01-01T00:00:00Z' }), true);
  assert.equal(columns.add({ seq: 1, type: 'a.b', ts: '2026-01-01T00:00:00Z' }), false);
  assert.equal(columns.n, 1);
});

test('a filter is read as the player reads it', () => {
  assert.deepEqual(parseFilter(' type:diff.*,drift.* service:api failed two words '), {
    types: ['diff.*', 'drift.*'],
    service: 'api',
    failed: true,
    text: 'two words',
  });
});
