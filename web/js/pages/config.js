/** Config: the history of a service, what changed, the config with who set what, and how it stands against its baseline. */
import { baseline } from '../baseline.js';
import { toSeq } from '../detail.js';
import { fold, hunks, tree } from '../diff.js';
import { button, fill, h, say } from '../dom.js';
import { field } from '../fields.js';
import { History } from '../history.js';
import '../list.js';
import { Latest } from '../source.js';
import { severityGlyph } from '../summary.js';
import { count, number, short } from '../words.js';
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
    this.choose = h('select', {
      'aria-label': 'Service',
      class: 'mono',
      on: { change: () => ctx.store.see({ service: this.choose.value }, { push: true }) },
    });
    this.history = new History(ctx);
    this.tabs = h('div', { class: 'tools', role: 'group', 'aria-label': 'What is shown' });
    this.title = h('div', { class: 'what' });
    this.list = /** @type {import('../list.js').List} */ (document.createElement('rig-list'));
    this.list.setAttribute('aria-label', 'Fields');
    this.list.height_ = 20;
    this.list.classList.add('code');
    this.body = h('div', { class: 'pane-body', tabindex: '0', role: 'region', 'aria-label': 'Baseline' });
    this.note = h('p', { class: 'empty' });
    this.root = h(
      'div',
      { class: 'columns two' },
      h(
        'section',
        { class: 'pane side-wide', 'aria-label': 'History' },
        h('div', { class: 'pane-head' }, h('h2', null, 'History'), this.choose, this.history.at),
        h('div', { class: 'pane-body', tabindex: '0', role: 'region', 'aria-label': 'History of the service' }, this.history.list),
      ),
      h(
        'section',
        { class: 'pane main', 'aria-labelledby': 'config-title' },
        h('div', { class: 'pane-head' }, h('h1', { id: 'config-title' }, 'Config'), this.tabs),
        this.title,
        this.list,
        this.body,
        this.note,
      ),
    );
    this.contents = new Latest();
    /** The severity of a changed field. @type {(path: string) => string} */
    this.severity = () => '';
    /** @type {any} */
    this.shown = null;
    /** @type {import('../diff.js').Row[]} */
    this.rows = [];
    this.opened = new Set();
    this.baselineKey = '';
    this.names = '';
    this.list.draw = (node, row) => {
      if (this.rows[row]) field(node, this.rows[row], { shown: this.shown, severityOf: this.severity, sideBySide: this.sideBySide });
    };
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
      fill(
        this.choose,
        names.map((one) => h('option', { value: one, selected: one === name }, one)),
      );
      this.choose.value = name;
    }
    fill(
      this.tabs,
      TABS.map(([tab, label]) => button(label, () => this.show(tab), { class: 'small', 'aria-pressed': String(this.tab === tab) })),
      this.tab === 'diff' ? button(this.sideBySide ? 'Unified' : 'Side by side', () => this.toggle(), { class: 'small' }) : null,
    );
    this.empty(name === '' ? 'No config was captured up to this moment. `rig snapshot FILE --service NAME` captures one.' : '');
    if (name === '') {
      fill(this.history.list);
      this.rows = [];
      this.list.update(0);
      this.list.hidden = true;
      fill(this.body);
      this.body.hidden = true;
      fill(this.title);
      return;
    }
    this.history.load(name);
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
    // What is above the list is of the tab before.
    this.contents.cancel();
    this.baselineKey = '';
    this.ctx.store.touch('view');
  }

  toggle() {
    this.sideBySide = !this.sideBySide;
    this.ctx.store.touch('view');
    this.list.update(this.rows.length);
  }

  /** What is compared: the mark, or the config before the last change, with that at the cursor. @param {string} name @param {number} cursor */
  ends(name, cursor) {
    const { store } = this.ctx;
    if (store.view.cmp !== null && store.view.cmp !== cursor) {
      const [a, b] = [store.view.cmp, cursor].sort((x, y) => x - y);
      return { from: a, to: b, marked: true };
    }
    const diff = this.history.known.entries.find((/** @type {any} */ entry) => entry.type === 'diff.computed' && entry.seq <= cursor);
    // The config is another one with the diff, not with the capture before it.
    if (diff && this.history.known.name === name) return { from: diff.seq - 1, to: diff.seq, marked: false };
    return { from: 0, to: cursor, marked: false };
  }

  /** @param {string} name @param {number} cursor */
  loadFields(name, cursor) {
    const { store } = this.ctx;
    if (this.history.known.name !== name) return;
    const { from, to, marked } = this.tab === 'diff' ? this.ends(name, cursor) : { from: 0, to: cursor, marked: false };
    const service = `services/${encodeURIComponent(name)}`;
    const last = this.history.known.entries.find(
      (/** @type {any} */ entry) => (entry.type === 'snapshot.captured' || entry.type === 'diff.computed') && entry.seq <= to,
    );
    const at = this.tab === 'tree' ? (last?.seq ?? to) : to;
    const key = `${this.tab} ${store.view.stream} ${store.epoch} ${name} ${from} ${at} ${marked}`;
    const config = (/** @type {number} */ seq, /** @type {AbortSignal} */ signal) =>
      store.source.exact(`${store.source.of(`${service}/config`)}?at=${seq}`, { signal });
    this.contents.get(
      key,
      async (signal) => {
        const none = { config: {} };
        if (this.tab === 'tree') {
          const [now, blame] = await Promise.all([
            config(at, signal),
            store.source.exact(`${store.source.of(`${service}/blame`)}?path=**&at=${at}`, { signal }).catch(() => ({ fields: [] })),
          ]);
          return {
            now,
            before: now,
            blame: new Map(blame.fields.map((/** @type {any} */ field) => [field.path, field])),
            difference: null,
          };
        }
        const [now, before, difference] = await Promise.all([
          config(to, signal),
          from > 0 ? config(from, signal).catch(() => none) : none,
          from > 0 ? store.source.exact(`${store.source.of(`${service}/diff`)}?from=${from}&to=${to}`, { signal }).catch(() => null) : null,
        ]);
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
      this.rows =
        shown.tab === 'diff' && difference?.hunks
          ? hunks(difference.hunks)
          : String(now.config.text ?? '')
              .split('\n')
              .map((line, i) => ({ op: /** @type {const} */ ('same'), depth: 0, key: '', path: String(i + 1), after: line, line: i + 1 }));
    } else {
      const all = tree(before.config, now.config);
      this.rows = shown.tab === 'diff' && from > 0 ? fold(all, AROUND, this.opened) : all;
    }
    const changed = difference
      ? ['added', 'removed', 'changed', 'moved']
          .filter((what) => difference[what] > 0)
          .map((what) => `${number(difference[what])} ${what}`)
          .join(', ')
      : '';
    const severities = new Map((difference?.changes ?? []).map((/** @type {any} */ c) => [c.path, c.severity]));
    this.severity = (/** @type {string} */ path) => severities.get(path) ?? '';
    if (shown.tab === 'tree') {
      fill(
        this.title,
        h('span', { class: 'mono' }, shown.name),
        ` ${now.format}, ${count(Object.keys(now.config).length, 'field')}, captured at `,
        toSeq(store, now.captured_seq),
        h('span', { class: 'soft mono' }, ` ${short(now.config_digest)}`),
      );
    } else if (from > 0) {
      fill(
        this.title,
        marked ? [toSeq(store, from), ' → '] : null,
        toSeq(store, to),
        ` ${changed || 'nothing changed'} `,
        difference?.severity
          ? h('span', { class: `sev ${difference.severity}` }, `${severityGlyph(difference.severity)} ${difference.severity}`)
          : '',
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

  /** @param {string} name */
  baseline(name) {
    const { store, state } = this.ctx;
    const now = state.get()?.services?.[name];
    const key = `${name} ${state.value?.seq} ${store.follows} ${store.live}`;
    if (this.baselineKey === key) return;
    if (this.body.contains(document.activeElement) && /** @type {HTMLElement} */ (document.activeElement).tagName === 'INPUT') return;
    this.baselineKey = key;
    const whose = now?.baseline ? ' against what was approved' : ' has no baseline here';
    fill(this.title, h('span', { class: 'mono' }, name), whose);
    fill(this.body, baseline(this.ctx, name, now));
  }

  /** @param {string} act */
  act(act) {
    if (act === 'expand') {
      this.expand();
      return true;
    }
    if (act === 'listOn' || act === 'listBack') {
      const { store } = this.ctx;
      const seqs = this.history.known.entries.map((/** @type {any} */ entry) => entry.seq);
      const to =
        act === 'listBack'
          ? seqs.find((/** @type {number} */ seq) => seq < store.cursor)
          : seqs.filter((/** @type {number} */ seq) => seq > store.cursor).pop();
      if (to) store.go(to);
      return true;
    }
    return false;
  }
}
