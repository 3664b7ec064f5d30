/** What broke: failures, what was changed before them, and who changed it, as a story with links. */
import { reasons, toSeq } from '../detail.js';
import { button, fill, h, pieces, say, tame } from '../dom.js';
import { Latest } from '../source.js';
import { change, severityGlyph } from '../summary.js';
import { clock, count, day, micros, number, span } from '../words.js';

/** While it goes on it is asked for at most so often, in milliseconds. */
const EVERY = 3000;

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.at = h('span', { class: 'at' });
    this.body = h('div', { class: 'pane-body story', tabindex: '0', role: 'region', 'aria-label': 'The story' });
    this.root = h(
      'section',
      { class: 'pane whole', 'aria-labelledby': 'broke-title' },
      h('div', { class: 'pane-head' }, h('h1', { id: 'broke-title' }, 'What broke'), this.at),
      this.body,
    );
    this.latest = new Latest();
    this.reasons = new Latest();
    this.asked = 0;
    this.timer = 0;
    this.why = h('div', { class: 'why' });
  }

  update() {
    const { store } = this.ctx;
    if (store.epoch === undefined) return;
    const key = `${store.view.stream} ${store.epoch} ${store.head}`;
    if (this.latest.key === key) return;
    if (store.columns.n === 0) {
      fill(this.body, h('p', { class: 'empty' }, 'Nothing has happened yet.'));
      return;
    }
    const since = Date.now() - this.asked;
    if (this.latest.busy && this.stream === store.view.stream) return;
    if (since < EVERY && this.stream === store.view.stream) {
      if (!this.timer)
        this.timer = setTimeout(() => {
          this.timer = 0;
          store.touch('broke');
        }, EVERY - since);
      return;
    }
    this.stream = store.view.stream;
    this.asked = Date.now();
    this.latest.get(
      key,
      (signal) => store.source.exact(store.source.of('explain'), { signal }),
      (found) => this.show(found),
      (error) => fill(this.body, h('p', { class: 'empty' }, error.message)),
    );
  }

  /** @param {any} it */
  show(it) {
    const { store } = this.ctx;
    const first = it.first_failure;
    say(
      this.at,
      `${count(Number(it.events), 'event')}, ${span(Number(it.duration_ms) * 1000)}${it.outcome_recorded ? '' : '; judged by its events'}`,
    );
    const passed = it.outcome === 'passed';
    const verdict = first
      ? [
          h('span', { class: 'bad' }, passed ? '✗ recorded as passed, but something failed.' : `✗ ${it.outcome}.`),
          ' First failure: ',
          toSeq(store, first.seq),
          ' ',
          h('strong', null, first.type),
          first.services.length ? ` in ${first.services.join(', ')}` : '',
          h('span', { class: 'soft' }, ` at ${day(micros(first.ts))} ${clock(micros(first.ts))}`),
        ]
      : [h('span', { class: passed ? 'good' : 'soft' }, passed ? '● passed' : it.outcome), ' Nothing failed.'];
    const sections = [
      h('p', { class: 'verdict' }, verdict),
      it.damage ? h('p', { class: 'bad' }, `The recording is damaged and readable only up to there: ${it.damage}`) : null,
      first
        ? h(
            'div',
            { class: 'tools' },
            button('Go to it', () => store.see({ page: 'events', seq: first.seq }, { push: true }), { class: 'primary' }),
            it.changes?.items?.[0]
              ? button(`The change before it: ${tame(it.changes.items[0].service, 40)}`, () =>
                  store.see({ page: 'config', service: it.changes.items[0].service, seq: it.changes.items[0].seq }, { push: true }),
                )
              : null,
          )
        : null,
      this.why,
      this.list('Failed assertions', it.assertions, (/** @type {any} */ one) => [
        toSeq(store, one.seq),
        one.file ? h('span', { class: 'mono soft' }, ` ${one.file}:${one.line ?? ''}`) : '',
        h('pre', null, one.message),
      ]),
      this.list('Crashes', it.crashes, (/** @type {any} */ one) => [
        toSeq(store, one.seq),
        ' ',
        h('strong', null, one.service ?? ''),
        ` ${one.type} `,
        h('span', { class: 'bad' }, one.error),
      ]),
      this.list('Config changes before the first failure, nearest first', first ? it.changes : null, (/** @type {any} */ one) =>
        this.change(one),
      ),
      this.list('Failing requests', it.requests, (/** @type {any} */ one) => [
        toSeq(store, one.seq),
        h('span', { class: 'name' }, ` ${one.source} → ${one.target} `),
        h('span', { class: 'mono' }, `${one.method} ${one.path} `),
        h('span', { class: 'bad' }, `✗ ${one.status ?? 'no answer'}`),
        one.latency_us !== undefined ? h('span', { class: 'soft' }, ` ${span(Number(one.latency_us))}`) : '',
        one.error ? h('div', { class: 'bad' }, one.error) : '',
        one.response_body?.text ? h('pre', null, one.response_body.text) : '',
      ]),
      this.list('How often', Number(it.requests?.items?.length ?? 0) > 1 ? it.failing : null, (/** @type {any} */ one) => [
        h('strong', null, `${number(one.count)} × ${one.status}`),
        ` ${one.source} → ${one.target}, first `,
        toSeq(store, one.first_seq),
      ]),
      this.list('stderr around it', it.stderr, (/** @type {any} */ one) => [
        toSeq(store, one.seq),
        ` ${one.service}`,
        h('pre', { class: 'stderr' }, one.text),
      ]),
      it.stall
        ? h(
            'section',
            null,
            h('h2', null, 'Last stall'),
            h('p', null, toSeq(store, it.stall.seq), ` nothing went on for ${it.stall.stalled_for}`),
            h(
              'ul',
              null,
              it.stall.services.map((/** @type {any} */ one) =>
                h('li', null, `${one.name}: ${one.phase}${one.waiting_on.length ? `, waits for ${one.waiting_on.join(', ')}` : ''}`),
              ),
            ),
          )
        : null,
      it.phases?.length
        ? h(
            'section',
            null,
            h('h2', null, 'Phases'),
            h('p', null, it.phases.map((/** @type {any} */ one) => `${one.name} ${span(Number(one.us))}`).join(', ')),
          )
        : null,
    ];
    fill(this.body, sections);
    fill(this.why);
    if (first) {
      this.reasons.get(
        `${store.epoch} ${first.seq}`,
        (signal) => store.source.exact(`${store.source.of('why')}?seq=${first.seq}&limit=3`, { signal }),
        (found) => {
          this.found = found;
          fill(this.why, reasons(store, found, 'h2'));
        },
      );
      if (this.found && Number(this.found.seq) === Number(first.seq)) fill(this.why, reasons(store, this.found, 'h2'));
    }
  }

  /** @param {any} one */
  change(one) {
    const { store } = this.ctx;
    return [
      button(`#${number(one.seq)}`, () => store.see({ page: 'config', service: one.service, seq: Number(one.seq) }, { push: true }), {
        class: 'link mono',
        title: 'In Config',
      }),
      h('span', { class: `sev ${one.severity ?? ''}` }, ` ${severityGlyph(one.severity)} `),
      h('strong', null, one.service),
      one.what ? ` ${one.kind} ${one.what} ` : ' ',
      one.path ? pieces(change({ ...one, op: one.before === undefined ? 'added' : one.after === undefined ? 'removed' : 'changed' })) : '',
      h(
        'span',
        { class: 'soft' },
        `${one.who ? ` by ${one.who}` : ''}${one.origin ? ` from ${one.origin}` : ''} at ${clock(micros(one.ts))}${one.involved ? '; this service has a part in it' : ''}`,
      ),
    ];
  }

  /** @param {string} title @param {any} listed @param {(one: any) => any} row */
  list(title, listed, row) {
    if (!listed?.items?.length) return null;
    return h(
      'section',
      null,
      h('h2', null, title),
      h(
        'ul',
        { class: 'plain' },
        listed.items.map((/** @type {any} */ one) => h('li', null, row(one))),
      ),
      Number(listed.more) > 0 ? h('p', { class: 'soft' }, `and ${number(Number(listed.more))} more`) : null,
    );
  }
}
