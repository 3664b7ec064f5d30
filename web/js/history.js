/** The history of a service: captures, changes, drift and decisions, newest first. */
import { button, fill, h, pieces, say } from './dom.js';
import { Latest } from './source.js';
import { change, isDifference, severityGlyph, summary } from './summary.js';
import { both, clock, count, day, micros, number } from './words.js';

export class History {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.list = h('ol', { class: 'history', 'aria-label': 'History' });
    this.at = h('span', { class: 'at' });
    this.latest = new Latest();
    this.name = '';
    /** @type {{ key: string, name: string, entries: any[], next: number }} */
    this.known = { key: '', name: '', entries: [], next: 0 };
    this.drawn = '';
  }

  /** The history is that of the whole stream; what is after the cursor is dim. It is asked for again when the service changed since. @param {string} name */
  load(name) {
    this.name = name;
    const { store, lives } = this.ctx;
    const key = `${store.view.stream} ${store.epoch} ${name} ${lives.all.get(name)?.told ?? 0}`;
    if (key !== this.known.key) {
      this.latest.get(
        key,
        (signal) => store.source.exact(`${store.source.of(`services/${encodeURIComponent(name)}/history`)}?limit=200`, { signal }),
        (page) => {
          this.known = { key, name, entries: page.events, next: page.next_before ?? 0 };
          store.touch('history');
        },
        (error) => {
          this.known = { key, name, entries: [], next: 0 };
          fill(this.list, h('li', { class: 'empty' }, error.message));
        },
      );
    }
    this.draw();
  }

  draw() {
    const { store } = this.ctx;
    const key = `${this.known.key} ${store.cursor} ${store.view.cmp} ${this.known.entries.length}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const entries = this.known.entries;
    const now = entries.find((/** @type {any} */ entry) => entry.seq <= store.cursor);
    const items = [];
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i];
      // The same document again and again is one line.
      if (entry.type === 'snapshot.unchanged') {
        let same = i;
        while (same + 1 < entries.length && entries[same + 1].type === 'snapshot.unchanged') same += 1;
        items.push(this.entry(entry, now, `= unchanged${same > i ? ` ×${same - i + 1}` : ''}`, 'soft'));
        i = same;
        continue;
      }
      // A capture and its diff are one line.
      const after = entries[i + 1];
      if (entry.type === 'diff.computed' && after?.type === 'snapshot.captured' && after.seq === entry.to) {
        items.push(this.entry(entry, now, '', '', after));
        i += 1;
        continue;
      }
      items.push(this.entry(entry, now));
    }
    fill(
      this.list,
      items,
      this.known.next
        ? h(
            'li',
            null,
            button('Older', () => this.older(), { class: 'small' }),
          )
        : null,
    );
    say(this.at, `${count(entries.length, 'entry')}${this.known.next ? ' of more' : ''}`);
  }

  async older() {
    const { store } = this.ctx;
    const { name } = this;
    const page = await store.source.exact(
      `${store.source.of(`services/${encodeURIComponent(name)}/history`)}?limit=200&before=${this.known.next}`,
    );
    this.known = { ...this.known, entries: [...this.known.entries, ...page.events], next: page.next_before ?? 0 };
    store.touch('history');
  }

  /** @param {any} entry @param {any} now @param {string} [label] @param {string} [kind] @param {any} [captured] */
  entry(entry, now, label = '', kind = '', captured = null) {
    const { store } = this.ctx;
    const glyph =
      severityGlyph(entry.severity) ||
      { 'baseline.approved': '■', 'snapshot.captured': '○', 'snapshot.rejected': '✗' }[/** @type {'snapshot.captured'} */ (entry.type)] ||
      (entry.type.startsWith('drift.') ? '◆' : '');
    const us = micros(entry.ts);
    const meta = { ...entry.meta, ...captured?.meta };
    const who = [entry.actor ?? captured?.actor, meta.commit ?? meta.git_sha, meta.source]
      .filter(Boolean)
      .map((one) => String(one).slice(0, 24))
      .join(' · ');
    const counts =
      entry.type === 'diff.computed'
        ? ['added', 'removed', 'changed']
            .filter((what) => entry[what] > 0)
            .map((what) => `${entry[what]} ${what}`)
            .join(', ')
        : '';
    const words =
      label ||
      (entry.type === 'diff.computed'
        ? counts || 'changed'
        : entry.type === 'snapshot.captured'
          ? 'captured'
          : entry.type.replace('.', ' '));
    const said =
      label || entry.type === 'snapshot.captured'
        ? []
        : entry.type === 'diff.computed'
          ? (entry.changes ?? []).filter(isDifference).slice(0, 2).map((/** @type {any} */ c) => h('div', { class: 'words' }, pieces(change(c))))
          : [h('div', { class: 'words' }, pieces(summary(entry)))];
    return h(
      'li',
      {
        class: `${entry.seq > store.cursor ? 'to-come' : ''} ${entry === now ? 'chosen' : ''} ${entry.seq === store.view.cmp ? 'marked' : ''}`,
      },
      h(
        'button',
        { type: 'button', class: 'entry', 'aria-current': entry === now ? 'true' : null, on: { click: () => store.go(entry.seq, true) } },
        h('span', { class: `sev ${entry.severity ?? kind}` }, `${glyph} `),
        h('span', { class: `what-happened ${entry.type.startsWith('drift.') ? 'drift' : ''} ${kind}` }, words),
        entry.severity ? h('span', { class: `sev ${entry.severity}` }, ` ${entry.severity}`) : null,
        h('span', { class: 'seq soft' }, `#${number(entry.seq)}`),
        h('div', { class: 'soft', title: both(us) }, `${day(us)} ${clock(us).slice(0, 8)}${who ? ` · ${who}` : ''}`),
        said,
      ),
    );
  }
}
