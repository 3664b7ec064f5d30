/** Services: a row each with status, start, drift, baseline, last change and failures; narrow as the list beside other things. */
import { fill, h, say } from '../dom.js';
import '../list.js';
import { step, upto } from '../lives.js';
import { driftGlyph } from '../summary.js';
import { ago, count, number, span } from '../words.js';

const GLYPHS = { failed: '✗', ready: '●', healthy: '●', starting: '◌', stopping: '◌', stopped: '○' };

/** What is known of every service at the cursor. @param {any} ctx */
export function services(ctx) {
  const { store, lives, state } = ctx;
  const now = state.get();
  const seq = store.cursor;
  lives.grow(store.columns);
  const names = new Set([...Object.keys(now?.services ?? {}), ...lives.all.keys()]);
  const rows = [];
  for (const name of names) {
    const known = now?.services?.[name] ?? {};
    const life = lives.all.get(name);
    const { now: stepped, took } = life ? step(life, seq, (s) => store.columns.timeOf(s)) : { now: '', took: NaN };
    const status = stepped || known.status || '';
    const changed = life ? life.changes[upto(life.changes, seq) - 1] : known.config_seq;
    rows.push({
      name,
      status,
      took,
      error: known.error ?? '',
      drift: known.drift?.verdict ?? '',
      severity: known.drift?.severity ?? '',
      differing: known.drift?.differing ?? 0,
      baseline: known.baseline ?? null,
      declared: known.declared ?? null,
      captured: (known.captured_seq ?? 0) > 0,
      format: known.format ?? '',
      changed: changed ?? 0,
      failures: life ? upto(life.failures, seq) : 0,
      life,
    });
  }
  rows.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return rows;
}

/** @param {any} row */
function glyph(row) {
  const shown = GLYPHS[/** @type {'ready'} */ (row.status)] ?? '·';
  return h('span', { class: `glyph st-${row.status || 'none'}`, title: row.status || 'no step of its life was recorded' }, shown);
}

/** @param {any} row */
function drift(row) {
  return h(
    'span',
    { class: `glyph ${row.drift === 'in-sync' ? 'good' : 'drift'}`, title: row.drift ? row.drift.replace('-', ' ') : 'no baseline' },
    driftGlyph(row.drift) || ' ',
  );
}

/** The narrow list, beside other things. */
export class ServiceList {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.list = /** @type {import('../list.js').List} */ (document.createElement('rig-list'));
    this.list.setAttribute('aria-label', 'Services');
    this.title = h('h2', null, 'Services');
    this.at = h('span', { class: 'at' });
    this.root = h(
      'section',
      { class: 'pane side', 'aria-label': 'Services' },
      h('div', { class: 'pane-head' }, this.title, this.at),
      this.list,
    );
    /** @type {any[]} */
    this.rows = [];
    this.list.draw = (node, row) => this.draw(node, row);
    this.list.choose = (row) => this.choose(row);
    this.list.addEventListener('keydown', (event) => this.key(/** @type {KeyboardEvent} */ (event)));
  }

  /** @param {number} row */
  choose(row) {
    const { store } = this.ctx;
    const name = row === 0 ? '' : (this.rows[row - 1]?.name ?? '');
    store.see({ service: store.view.service === name ? '' : name }, { push: true });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    const to = Math.min(Math.max(0, this.list.chosen + step), this.rows.length);
    this.ctx.store.see({ service: to === 0 ? '' : this.rows[to - 1].name });
    this.list.scrollToRow(to);
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {HTMLElement} node @param {number} at */
  draw(node, at) {
    if (at === 0) {
      fill(
        node,
        h('span', { class: 'cell grow', role: 'gridcell' }, 'all'),
        h('span', { class: 'cell num soft', role: 'gridcell' }, number(this.rows.length)),
      );
      return;
    }
    const row = this.rows[at - 1];
    if (!row) return;
    fill(
      node,
      h('span', { class: 'cell', role: 'gridcell' }, glyph(row)),
      h('span', { class: 'cell grow mono', role: 'gridcell', title: row.name }, row.name),
      h('span', { class: 'cell', role: 'gridcell' }, drift(row)),
      h(
        'span',
        { class: `cell num ${row.failures ? 'bad' : 'soft'}`, role: 'gridcell', title: count(row.failures, 'failure') },
        row.failures ? `✗ ${number(row.failures)}` : '',
      ),
    );
  }

  update() {
    const { store, state } = this.ctx;
    this.rows = services(this.ctx);
    const { service } = store.view;
    this.list.chosen = service ? this.rows.findIndex((row) => row.name === service) + 1 : 0;
    this.list.update(this.rows.length + 1);
    say(this.at, state.error || (state.value ? `at ${number(state.value.seq)}` : ''));
  }
}

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.list = /** @type {import('../list.js').List} */ (document.createElement('rig-list'));
    this.list.height_ = 26;
    this.list.setAttribute('aria-label', 'Services');
    this.at = h('span', { class: 'at' });
    this.head = h(
      'div',
      { class: 'row-head services-row', 'aria-hidden': 'true' },
      ['', 'service', 'status', 'start', 'drift', 'baseline', 'last change', 'failures', 'life'].map((name, i) =>
        h('span', { class: `cell${i === 7 || i === 3 ? ' num' : ''}` }, name),
      ),
    );
    this.none = h(
      'p',
      { class: 'empty' },
      'No service yet. `rig snapshot FILE --service NAME` captures a config; `rig record` brings what a command does.',
    );
    this.root = h(
      'section',
      { class: 'pane whole', 'aria-labelledby': 'services-title' },
      h('div', { class: 'pane-head' }, h('h1', { id: 'services-title' }, 'Services'), this.at),
      h('div', { class: 'wide' }, this.head, this.list),
      this.none,
    );
    /** @type {any[]} */
    this.rows = [];
    this.list.draw = (node, at) => this.draw(node, at);
    this.list.choose = (row) => this.open(row, false);
    this.list.addEventListener('dblclick', () => this.open(this.list.chosen, true));
    this.list.addEventListener('keydown', (event) => this.key(/** @type {KeyboardEvent} */ (event)));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step !== 0) {
      const to = Math.min(Math.max(0, this.list.chosen + step), this.rows.length - 1);
      this.open(to, false);
      this.list.scrollToRow(to);
    } else if (event.key === 'Enter') this.open(this.list.chosen, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Chooses a service, or goes to its config. @param {number} at @param {boolean} enter */
  open(at, enter) {
    const row = this.rows[at];
    if (!row) return;
    const { store } = this.ctx;
    if (enter) store.see({ service: row.name, page: row.captured ? 'config' : 'events' }, { push: true });
    else store.see({ service: row.name });
  }

  /** @param {HTMLElement} node @param {number} at */
  draw(node, at) {
    const row = this.rows[at];
    if (!row) return;
    node.classList.add('services-row');
    const { store } = this.ctx;
    const now = store.columns.timeOf(store.cursor);
    const cell = (/** @type {any} */ what, /** @type {string} */ kind = '', title = '') =>
      h('span', { class: `cell ${kind}`, role: 'gridcell', title: title || null }, what);
    const went = row.took >= 0 ? span(row.took) : row.status === 'starting' ? '…' : '';
    const changed = row.changed
      ? h(
          'button',
          {
            type: 'button',
            class: 'link',
            title: `#${row.changed}`,
            on: { click: () => store.see({ service: row.name, page: 'config', seq: row.changed }, { push: true }) },
          },
          ago(now - store.columns.timeOf(row.changed)),
        )
      : '';
    const failures = row.failures
      ? h(
          'button',
          {
            type: 'button',
            class: 'link bad',
            on: { click: () => store.see({ service: row.name, page: 'events', q: `service:${row.name} failed` }, { push: true }) },
          },
          `✗ ${number(row.failures)}`,
        )
      : '';
    const strip = document.createElement('canvas');
    strip.className = 'strip';
    strip.setAttribute('aria-hidden', 'true');
    fill(
      node,
      cell(glyph(row)),
      cell(
        h(
          'button',
          {
            type: 'button',
            class: 'link mono',
            title: row.captured ? 'Its config' : 'Its events',
            on: { click: () => this.open(at, true) },
          },
          row.name,
        ),
      ),
      cell(
        [row.status || '–', row.error ? h('span', { class: 'bad' }, ` ${row.error}`) : ''],
        row.status === 'failed' ? 'bad' : '',
        row.error,
      ),
      cell(went, 'num'),
      cell(
        row.drift ? [drift(row), ` ${row.drift.replace('-', ' ')}`, row.differing ? ` ${row.differing}` : ''] : '',
        row.drift === 'drifted' ? 'drift' : '',
      ),
      cell(
        row.baseline
          ? `#${row.baseline.approved_seq}${row.baseline.actor ? ` ${row.baseline.actor}` : ''}`
          : row.declared
            ? 'declared'
            : row.captured
              ? 'none'
              : '',
        'soft',
      ),
      cell(changed),
      cell(failures, 'num'),
      cell(strip, 'grow'),
    );
    this.paint(strip, row);
  }

  /** The life of a service as a strip: its status, with failures and changes on it. @param {HTMLCanvasElement} strip @param {any} row */
  paint(strip, row) {
    const { columns, cursor } = this.ctx.store;
    const width = Math.max(40, this.list.clientWidth - 850);
    const scale = devicePixelRatio || 1;
    strip.width = width * scale;
    strip.height = 16 * scale;
    strip.style.width = `${width}px`;
    const paint = strip.getContext('2d');
    if (!paint || !row.life || columns.n === 0) return;
    paint.scale(scale, scale);
    const style = getComputedStyle(this.root);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    const from = columns.time[0];
    const range = Math.max(columns.time[columns.n - 1] - from, 1);
    const x = (/** @type {number} */ seq) => ((columns.timeOf(seq) - from) / range) * (width - 2);
    paint.fillStyle = colour('line');
    paint.fillRect(0, 8, width, 1);
    const colours = { starting: 'warn', healthy: 'good', ready: 'good', failed: 'bad', stopping: 'warn', stopped: 'line' };
    row.life.steps.forEach((/** @type {[number, string]} */ one, /** @type {number} */ i) => {
      const end = row.life.steps[i + 1] ? x(row.life.steps[i + 1][0]) : width;
      paint.fillStyle = colour(colours[/** @type {'ready'} */ (one[1])] ?? 'line');
      paint.fillRect(x(one[0]), 7, Math.max(1, end - x(one[0])), 3);
    });
    const marks = (/** @type {number[]} */ seqs, /** @type {string} */ name, /** @type {number} */ y, /** @type {number} */ tall) => {
      paint.fillStyle = colour(name);
      const skip = Math.max(1, Math.floor(seqs.length / 2000));
      for (let i = 0; i < seqs.length; i += skip) paint.fillRect(Math.round(x(seqs[i])), y, 1.5, tall);
    };
    marks(row.life.failures, 'bad', 0, 6);
    marks(row.life.changes, 'change', 11, 5);
    paint.fillStyle = colour('accent');
    paint.fillRect(Math.round(x(cursor)), 0, 1, 16);
  }

  update() {
    const { store, state } = this.ctx;
    this.rows = services(this.ctx);
    this.list.chosen = this.rows.findIndex((row) => row.name === store.view.service);
    this.list.update(this.rows.length);
    this.none.hidden = this.rows.length > 0 || store.loading;
    say(this.at, state.error || `${count(this.rows.length, 'service')} at ${number(state.value?.seq ?? store.cursor)}`);
  }
}
