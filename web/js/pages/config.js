/** Config: the history of a service, what changed, the config with who set what, and how it stands against its baseline. */
import { decide } from '../decide.js';
import { shownValue, toSeq } from '../detail.js';
import { fold, middle, tree } from '../diff.js';
import { button, fill, h, pieces, say } from '../dom.js';
import { List } from '../list.js';
import { Latest } from '../source.js';
import { change, secretOf, severityGlyph, summary, value } from '../summary.js';
import { both, clock, count, day, micros, number, short } from '../words.js';
import { services } from './services.js';

const TABS = [
  ['diff', 'What changed'],
  ['tree', 'Config'],
  ['baseline', 'Baseline'],
];
const AROUND = 3;

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.tab = 'diff';
    this.sideBySide = innerWidth > 1100;
    this.choose = h('select', { 'aria-label': 'Service', class: 'mono', on: { change: () => ctx.store.see({ service: this.choose.value }, { push: true }) } });
    this.history = h('ol', { class: 'history', 'aria-label': 'History' });
    this.historyAt = h('span', { class: 'at' });
    this.tabs = h('div', { class: 'tools', role: 'group', 'aria-label': 'What is shown' });
    this.title = h('div', { class: 'what' });
    this.list = /** @type {List} */ (document.createElement('rig-list'));
    this.list.setAttribute('aria-label', 'Fields');
    this.list.height_ = 20;
    this.list.classList.add('code');
    this.body = h('div', { class: 'pane-body', tabindex: '0', role: 'region', 'aria-label': 'Baseline' });
    this.note = h('p', { class: 'empty' });
    this.root = h(
      'div',
      { class: 'columns two' },
      h('section', { class: 'pane side-wide', 'aria-label': 'History' }, h('div', { class: 'pane-head' }, h('h2', null, 'History'), this.choose, this.historyAt), h('div', { class: 'pane-body', tabindex: '0', role: 'region', 'aria-label': 'History of the service' }, this.history)),
      h('section', { class: 'pane main', 'aria-labelledby': 'config-title' }, h('div', { class: 'pane-head' }, h('h1', { id: 'config-title' }, 'Config'), this.tabs), this.title, this.list, this.body, this.note),
    );
    this.pages = new Latest();
    this.contents = new Latest();
    /** @type {any} */
    this.known = { key: '', entries: [], next: 0 };
    this.historyKey = '';
    /** @type {any} */
    this.shown = null;
    /** @type {import('../diff.js').Row[]} */
    this.rows = [];
    this.opened = new Set();
    this.baselineKey = '';
    this.names = '';
    this.list.draw = (node, row) => this.draw(node, this.rows[row]);
    this.list.choose = (row) => this.open(this.rows[row]);
  }

  /** The service that is shown: the chosen one, or that which changed last. @param {any[]} [all] those that were captured */
  service(all = services(this.ctx).filter((row) => row.captured)) {
    const { store, state } = this.ctx;
    const chosen = store.view.service;
    if (chosen && all.some((row) => row.name === chosen)) return chosen;
    if (chosen && !state.value) return chosen;
    let last = all[0];
    for (const row of all) if (row.changed > (last?.changed ?? 0)) last = row;
    return last?.name ?? '';
  }

  update() {
    const { store } = this.ctx;
    const all = services(this.ctx).filter((row) => row.captured);
    const name = this.service(all);
    const names = all.map((row) => row.name);
    if (this.names !== `${names.join()} ${name}`) {
      this.names = `${names.join()} ${name}`;
      fill(this.choose, names.map((one) => h('option', { value: one, selected: one === name }, one)));
      this.choose.value = name;
    }
    fill(
      this.tabs,
      TABS.map(([tab, label]) => button(label, () => this.show(tab), { class: 'small', 'aria-pressed': String(this.tab === tab) })),
      this.tab === 'diff' ? button(this.sideBySide ? 'Unified' : 'Side by side', () => this.toggle(), { class: 'small' }) : null,
    );
    this.empty(name === '' ? 'No config was captured up to this moment. `rig snapshot FILE --service NAME` captures one.' : '');
    if (name === '') {
      fill(this.history);
      this.rows = [];
      this.list.update(0);
      this.list.hidden = true;
      fill(this.body);
      this.body.hidden = true;
      fill(this.title);
      return;
    }
    this.loadHistory(name);
    this.list.hidden = this.tab === 'baseline';
    this.body.hidden = this.tab !== 'baseline';
    if (this.tab === 'baseline') this.baseline(name);
    else this.loadFields(name, store.cursor);
  }

  /** @param {string} text */
  empty(text) {
    say(this.note, text);
    this.note.hidden = text === '';
  }

  /** @param {string} tab */
  show(tab) {
    this.tab = tab;
    this.opened.clear();
    this.ctx.store.touch('view');
  }

  toggle() {
    this.sideBySide = !this.sideBySide;
    this.ctx.store.touch('view');
    this.list.update(this.rows.length);
  }

  /** The history is that of the whole stream; what is after the cursor is dim. It is asked for again when the service changed since. @param {string} name */
  loadHistory(name) {
    const { store, lives } = this.ctx;
    const key = `${store.view.stream} ${store.epoch} ${name} ${lives.all.get(name)?.told ?? 0}`;
    if (key !== this.known.key) {
      this.pages.get(
        key,
        (signal) => store.source.exact(`${store.source.of(`services/${encodeURIComponent(name)}/history`)}?limit=200`, { signal }),
        (page) => {
          this.known = { key, entries: page.events, next: page.next_before ?? 0 };
          store.touch('history');
        },
        (error) => {
          this.known = { key, entries: [], next: 0 };
          fill(this.history, h('li', { class: 'empty' }, error.message));
        },
      );
    }
    this.drawHistory();
  }

  drawHistory() {
    const { store } = this.ctx;
    const key = `${this.known.key} ${store.cursor} ${store.view.cmp} ${this.known.entries.length}`;
    if (key === this.historyKey) return;
    this.historyKey = key;
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
    fill(this.history, items, this.known.next ? h('li', null, button('Older', () => this.older(), { class: 'small' })) : null);
    say(this.historyAt, `${count(entries.length, 'entry')}${this.known.next ? ' of more' : ''}`);
  }

  async older() {
    const { store } = this.ctx;
    const name = this.service();
    const page = await store.source.exact(`${store.source.of(`services/${encodeURIComponent(name)}/history`)}?limit=200&before=${this.known.next}`);
    this.known = { ...this.known, entries: [...this.known.entries, ...page.events], next: page.next_before ?? 0 };
    store.touch('history');
  }

  /** @param {any} entry @param {any} now @param {string} [label] @param {string} [kind] @param {any} [captured] */
  entry(entry, now, label = '', kind = '', captured = null) {
    const { store } = this.ctx;
    const glyph = severityGlyph(entry.severity) || { 'baseline.approved': '■', 'snapshot.captured': '○', 'snapshot.rejected': '✗' }[/** @type {'snapshot.captured'} */ (entry.type)] || (entry.type.startsWith('drift.') ? '◆' : '');
    const us = micros(entry.ts);
    const meta = { ...entry.meta, ...captured?.meta };
    const who = [entry.actor ?? captured?.actor, meta.commit ?? meta.git_sha, meta.source].filter(Boolean).map((one) => String(one).slice(0, 24)).join(' · ');
    const counts = entry.type === 'diff.computed' ? ['added', 'removed', 'changed'].filter((what) => entry[what] > 0).map((what) => `${entry[what]} ${what}`).join(', ') : '';
    const words = label || (entry.type === 'diff.computed' ? counts || 'changed' : entry.type === 'snapshot.captured' ? 'captured' : entry.type.replace('.', ' '));
    const said = label || entry.type === 'snapshot.captured' ? [] : entry.type === 'diff.computed' ? (entry.changes ?? []).slice(0, 2).map((/** @type {any} */ c) => h('div', { class: 'words' }, pieces(change(c)))) : [h('div', { class: 'words' }, pieces(summary(entry)))];
    return h(
      'li',
      { class: `${entry.seq > store.cursor ? 'to-come' : ''} ${entry === now ? 'chosen' : ''} ${entry.seq === store.view.cmp ? 'marked' : ''}` },
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

  /** What is compared: the mark, or the config before the last change, with that at the cursor. @param {string} name @param {number} cursor */
  ends(name, cursor) {
    const { store } = this.ctx;
    if (store.view.cmp !== null && store.view.cmp !== cursor) {
      const [a, b] = [store.view.cmp, cursor].sort((x, y) => x - y);
      return { from: a, to: b, marked: true };
    }
    const diff = this.known.entries.find((/** @type {any} */ entry) => entry.type === 'diff.computed' && entry.seq <= cursor);
    // The config is another one with the diff, not with the capture before it.
    if (diff && this.known.key.includes(` ${name} `)) return { from: diff.seq - 1, to: diff.seq, marked: false };
    return { from: 0, to: cursor, marked: false };
  }

  /** @param {string} name @param {number} cursor */
  loadFields(name, cursor) {
    const { store } = this.ctx;
    if (!this.known.key.includes(` ${name} `)) return;
    const { from, to, marked } = this.tab === 'diff' ? this.ends(name, cursor) : { from: 0, to: cursor, marked: false };
    const service = `services/${encodeURIComponent(name)}`;
    const last = this.known.entries.find((/** @type {any} */ entry) => (entry.type === 'snapshot.captured' || entry.type === 'diff.computed') && entry.seq <= to);
    const at = this.tab === 'tree' ? (last?.seq ?? to) : to;
    const key = `${this.tab} ${store.view.stream} ${store.epoch} ${name} ${from} ${at} ${marked}`;
    const config = (/** @type {number} */ seq, /** @type {AbortSignal} */ signal) => store.source.exact(`${store.source.of(`${service}/config`)}?at=${seq}`, { signal });
    this.contents.get(
      key,
      async (signal) => {
        const none = { config: {} };
        if (this.tab === 'tree') {
          const [now, blame] = await Promise.all([config(at, signal), store.source.exact(`${store.source.of(`${service}/blame`)}?path=**&at=${at}`, { signal }).catch(() => ({ fields: [] }))]);
          return { now, before: now, blame: new Map(blame.fields.map((/** @type {any} */ field) => [field.path, field])), difference: null };
        }
        const [now, before, difference] = await Promise.all([config(to, signal), from > 0 ? config(from, signal).catch(() => none) : none, from > 0 ? store.source.exact(`${store.source.of(`${service}/diff`)}?from=${from}&to=${to}`, { signal }).catch(() => null) : null]);
        return { now, before, blame: new Map(), difference };
      },
      (found) => {
        this.shown = { ...found, from, to, marked, tab: this.tab, name };
        this.opened.clear();
        this.layout();
        this.list.scrollToRow(0, 'top');
      },
      (error) => {
        this.shown = null;
        this.rows = [];
        this.list.update(0);
        fill(this.title);
        this.empty(error.message);
      },
    );
  }

  /** The rows of what came. */
  layout() {
    const { store } = this.ctx;
    const { shown } = this;
    if (!shown) return;
    const { now, before, difference, from, to, marked } = shown;
    const isText = now.format === 'text' || Object.keys(now.config).join() === 'text';
    if (isText) {
      this.rows = shown.tab === 'diff' && difference?.hunks ? hunks(difference.hunks) : String(now.config.text ?? '').split('\n').map((line, i) => ({ op: /** @type {const} */ ('same'), depth: 0, key: '', path: String(i + 1), after: line, line: i + 1 }));
    } else {
      const all = tree(before.config, now.config);
      this.rows = shown.tab === 'diff' && from > 0 ? fold(all, AROUND, this.opened) : all;
    }
    const changed = difference ? ['added', 'removed', 'changed', 'moved'].filter((what) => difference[what] > 0).map((what) => `${number(difference[what])} ${what}`).join(', ') : '';
    const severities = new Map((difference?.changes ?? []).map((/** @type {any} */ c) => [c.path, c.severity]));
    this.severity = (/** @type {string} */ path) => severities.get(path) ?? '';
    if (shown.tab === 'tree') {
      fill(this.title, h('span', { class: 'mono' }, shown.name), ` ${now.format}, ${count(Object.keys(now.config).length, 'field')}, captured at `, toSeq(store, now.captured_seq), h('span', { class: 'soft mono' }, ` ${short(now.config_digest)}`));
    } else if (from > 0) {
      fill(
        this.title,
        marked ? [toSeq(store, from), ' → '] : null,
        toSeq(store, to),
        ` ${changed || 'nothing changed'} `,
        difference?.severity ? h('span', { class: `sev ${difference.severity}` }, `${severityGlyph(difference.severity)} ${difference.severity}`) : '',
        marked ? h('span', { class: 'soft' }, ' with the mark ') : null,
        marked ? button('End', () => store.see({ cmp: null }, { push: true }), { class: 'small' }) : null,
        !isText && this.rows.some((row) => row.op === 'gap') ? button('Show all (e)', () => this.expand(), { class: 'small' }) : null,
      );
    } else {
      fill(this.title, h('span', { class: 'soft' }, 'Its first capture: there is nothing before it. '), toSeq(store, to));
    }
    this.list.update(this.rows.length);
  }

  expand() {
    const all = this.shown ? tree(this.shown.before.config, this.shown.now.config) : [];
    for (let i = 0; i < all.length; i++) this.opened.add(i);
    this.layout();
  }

  /** @param {any} row */
  open(row) {
    if (row?.op === 'gap') {
      this.opened.add(row.at);
      this.layout();
    } else if (row?.path && this.shown?.tab === 'tree') {
      const set = this.shown.blame.get(row.path)?.changes?.[0];
      if (set) this.ctx.store.go(set.seq, true);
    }
  }

  /** @param {HTMLElement} node @param {any} row */
  draw(node, row) {
    if (!row) return;
    node.classList.remove('added', 'removed', 'changed', 'gap', 'same', 'group');
    node.classList.add(row.op);
    if (row.op === 'gap') {
      const what = row.line ? `⋯ line ${row.line}` : `⋯ ${count(row.count, 'line')} the same`;
      fill(node, h('span', { class: 'cell grow', role: 'gridcell' }, what));
      return;
    }
    const indent = '  '.repeat(Math.min(row.depth, 40));
    const isText = row.key === '' && row.op !== 'group';
    const content = (/** @type {any} */ v, /** @type {any} */ other, /** @type {string} */ kind) => {
      if (isText) return h('span', { class: 'text' }, String(v ?? ''));
      if (other !== undefined && secretOf(v) === null && typeof v === 'string' && typeof other === 'string') {
        const { head, tail } = middle(v, other);
        if (head + tail > 0 && v.length - head - tail > 0) return [v.slice(0, head), h('mark', { class: kind }, v.slice(head, v.length - tail)), v.slice(v.length - tail)];
      }
      return other !== undefined ? h('mark', { class: kind }, secretOf(v) !== null ? shownValue(v) : value(v, 2000)) : shownValue(v, 2000);
    };
    const label = row.op === 'group' ? `${indent}${row.key}:` : isText ? '' : `${indent}${row.key}: `;
    const severity = this.severity?.(row.path) ?? '';
    const sev = h('span', { class: `cell sev ${severity}`, role: 'gridcell', title: severity || null }, severityGlyph(severity));
    const number_ = isText ? h('span', { class: 'cell line-no', role: 'gridcell' }, row.line ? String(row.line) : '') : null;
    if (this.shown?.tab === 'tree') {
      const blamed = this.shown.blame.get(row.path);
      const set = blamed?.changes?.[0];
      const source = this.shown.now.provenance?.[row.path];
      const who = set ? `#${number(set.seq)} ${set.actor ?? ''}` : blamed?.before_recording ? 'before the recording' : '';
      fill(node, number_, h('span', { class: 'cell grow field', role: 'gridcell', title: row.path }, label, row.op === 'group' ? '' : content(row.after, undefined, '')), h('span', { class: 'cell soft blame', role: 'gridcell', title: set ? `${set.op} ${both(micros(set.ts))}` : null }, [source ? `${source} ` : '', who]));
      return;
    }
    const half = (/** @type {string} */ sign, /** @type {string} */ kind, /** @type {any} */ v, /** @type {any} */ other, /** @type {boolean} */ there) => h('span', { class: `cell half ${there ? kind : 'nothing'}`, role: 'gridcell' }, there ? [h('span', { class: 'sign' }, sign), label, row.op === 'group' ? '' : content(v, other, kind)] : '');
    if (this.sideBySide && !isText) {
      const plain = row.op === 'same' || row.op === 'group';
      fill(node, sev, half(plain ? ' ' : '−', plain ? '' : 'removed', row.before, row.op === 'changed' ? row.after : undefined, row.op !== 'added'), half(plain ? ' ' : '+', plain ? '' : 'added', row.after, row.op === 'changed' ? row.before : undefined, row.op !== 'removed'));
      return;
    }
    const sign = { added: '+', removed: '−', changed: '~' }[/** @type {'added'} */ (row.op)] ?? ' ';
    const both_ = row.op === 'changed' ? [content(row.before, row.after, 'removed'), h('span', { class: 'soft' }, ' → '), content(row.after, row.before, 'added')] : content(row.op === 'removed' ? row.before : row.after, undefined, '');
    fill(node, sev, number_, h('span', { class: `cell grow ${row.op === 'added' || row.op === 'removed' ? row.op : ''}`, role: 'gridcell' }, h('span', { class: 'sign' }, sign), label, row.op === 'group' ? '' : both_));
  }

  /** @param {string} name */
  baseline(name) {
    const { store, state } = this.ctx;
    const now = state.get()?.services?.[name];
    const key = `${name} ${state.value?.seq} ${store.follows} ${store.live}`;
    if (this.baselineKey === key) return;
    if (this.body.contains(document.activeElement) && /** @type {HTMLElement} */ (document.activeElement).tagName === 'INPUT') return;
    this.baselineKey = key;
    const base = now?.baseline;
    const drift = now?.drift;
    fill(this.title, h('span', { class: 'mono' }, name), base ? ' against what was approved' : ' has no baseline here');
    const facts = base
      ? h('dl', { class: 'facts' }, h('dt', null, 'approved'), h('dd', null, toSeq(store, base.approved_seq), base.actor ? ` by ${base.actor}` : ''), h('dt', null, 'config of'), h('dd', null, toSeq(store, base.captured), h('span', { class: 'soft mono' }, ` ${short(base.config_digest)}`)), base.reason ? [h('dt', null, 'because'), h('dd', null, base.reason)] : null, base.key_id ? [h('dt', null, 'signed'), h('dd', null, `with key ${base.key_id}`)] : null)
      : null;
    const verdict = drift ? h('p', { class: `verdict ${drift.verdict === 'in-sync' ? 'good' : 'drift'}` }, `${{ drifted: '◆ drifted', accepted: '◇ accepted', 'in-sync': '= in sync' }[/** @type {'drifted'} */ (drift.verdict)] ?? drift.verdict}${drift.differing ? `: ${count(drift.differing, 'field')} differ` : ''}`, ' since ', toSeq(store, drift.since_seq)) : null;
    const fields = drift?.fields?.length
      ? h('ul', { class: 'changes' }, drift.fields.map((/** @type {any} */ field) => h('li', null, h('span', { class: `sev ${field.severity ?? ''}` }, `${severityGlyph(field.severity)} `), pieces(change(field)), field.accepted ? h('span', { class: 'soft' }, ' accepted') : null)), drift.differing > drift.fields.length ? h('li', { class: 'soft' }, `${number(drift.differing - drift.fields.length)} more differ`) : null)
      : null;
    const acceptances = now?.acceptances?.length
      ? [h('h3', null, 'Accepted'), h('ul', { class: 'changes' }, now.acceptances.map((/** @type {any} */ one) => h('li', null, pieces(change(one.change)), h('span', { class: 'soft' }, ` ${one.actor ? `by ${one.actor} ` : ''}${one.until ? `until ${one.until.slice(0, 16)} ` : ''}${one.reason ? `(${one.reason}) ` : ''}`), toSeq(store, one.accepted_seq))))]
      : null;
    fill(this.body, verdict, fields, facts, acceptances, store.may('admin') && store.follows && now?.captured_seq ? decide(this.ctx, name, now) : null);
  }

  /** @param {string} act */
  act(act) {
    if (act === 'expand') {
      this.expand();
      return true;
    }
    if (act === 'listOn' || act === 'listBack') {
      const { store } = this.ctx;
      const seqs = this.known.entries.map((/** @type {any} */ entry) => entry.seq);
      const to = act === 'listBack' ? seqs.find((/** @type {number} */ seq) => seq < store.cursor) : seqs.filter((/** @type {number} */ seq) => seq > store.cursor).pop();
      if (to) store.go(to);
      return true;
    }
    return false;
  }
}

/** The hunks of a diff of a text as rows. @param {any[]} all */
function hunks(all) {
  /** @type {any[]} */
  const rows = [];
  for (const hunk of all) {
    rows.push({ op: 'gap', depth: 0, key: '', path: '', count: 0, line: hunk.new_start });
    let line = hunk.new_start;
    for (const text of hunk.lines ?? []) {
      const op = text[0] === '+' ? 'added' : text[0] === '-' ? 'removed' : 'same';
      rows.push({ op, depth: 0, key: '', path: '', before: text.slice(1), after: text.slice(1), line: op === 'removed' ? undefined : line });
      if (op !== 'removed') line += 1;
    }
  }
  return rows;
}
