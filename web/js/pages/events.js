/** Events: services, the events around the cursor, and the chosen one in full. */
import { FAILURE } from '../columns.js';
import { Detail } from '../detail.js';
import { fill, h, pieces, say } from '../dom.js';
import '../list.js';
import { summary } from '../summary.js';
import { both, clock, number } from '../words.js';
import { ServiceList } from './services.js';

/** The colour that a type stands out with. @param {string} type @param {number} flags */
export function kind(type, flags) {
  if (flags & FAILURE) return 'bad';
  if (type.startsWith('drift.')) return 'drift';
  if (type === 'diff.computed' || type === 'snapshot.captured' || type.startsWith('baseline.')) return 'change';
  return '';
}

/** A list of events that moves with the cursor; used by several pages. */
export class EventList {
  /** @param {any} ctx @param {{ label: string, rows: () => any, draw?: (node: HTMLElement, seq: number, event: any) => void }} how */
  constructor(ctx, how) {
    this.ctx = ctx;
    this.how = how;
    this.list = /** @type {import('../list.js').List} */ (document.createElement('rig-list'));
    this.list.setAttribute('aria-label', how.label);
    this.back = h('button', { type: 'button', class: 'small back', on: { click: () => this.toCursor() } }, 'To the cursor');
    this.back.hidden = true;
    this.empty = h('p', { class: 'empty' });
    this.root = h('div', { class: 'list-box' }, this.list, this.empty, this.back);
    this.away = false;
    this.seen = '';
    this.list.draw = (node, row) => this.draw(node, row);
    this.list.choose = (row) => {
      this.ctx.store.playing = false;
      this.ctx.store.go(this.rows.seq(row), true);
    };
    this.list.scrolled = () => {
      ctx.store.source.forget();
      this.away = this.list.chosen >= 0 && !this.list.sees(this.list.chosen);
      this.list.sticky = false;
      this.back.hidden = !this.away;
    };
  }

  toCursor() {
    this.away = false;
    this.back.hidden = true;
    this.list.scrollToRow(Math.max(0, this.list.chosen - this.list.shown / 2), 'top');
    this.list.sticky = this.ctx.store.follows;
    this.list.update(this.rows.count);
  }

  get rows() {
    return this.how.rows();
  }

  /** @param {HTMLElement} node @param {number} row */
  draw(node, row) {
    const { store } = this.ctx;
    const { columns, source } = store;
    const seq = this.rows.seq(row);
    node.classList.toggle('to-come', seq > store.cursor);
    node.classList.toggle('marked', seq === store.view.cmp);
    const event = columns.has(seq) ? source.event(seq) : null;
    if (this.how.draw) {
      this.how.draw(node, seq, event);
      return;
    }
    const type = columns.typeOf(seq);
    const flags = columns.flags[seq - columns.first] ?? 0;
    const us = columns.timeOf(seq);
    fill(
      node,
      h('span', { class: 'cell num soft seq', role: 'gridcell' }, number(seq)),
      h('span', { class: 'cell time', role: 'gridcell', title: both(us) }, clock(us)),
      h('span', { class: `cell type ${kind(type, flags)}`, role: 'gridcell', title: type }, flags & FAILURE ? `✗ ${type}` : type),
      h('span', { class: 'cell service', role: 'gridcell' }, columns.serviceOf(seq)),
      h('span', { class: 'cell grow words', role: 'gridcell' }, event ? pieces(summary(event)) : ''),
    );
  }

  update() {
    const { store } = this.ctx;
    const { rows } = this;
    const { cursor } = store;
    this.list.chosen = rows.row(cursor);
    const seen = `${cursor} ${store.version} ${store.columns.version} ${rows.count > 0}`;
    const moved = this.seen !== seen;
    const went = !this.seen.startsWith(`${cursor} `);
    this.seen = seen;
    if (this.away && !store.follows && went) this.away = false;
    this.list.sticky = store.follows && !this.away;
    this.list.update(rows.count);
    if (moved && !this.away && !store.follows) this.list.scrollToRow(this.list.chosen < 0 ? 0 : this.list.chosen);
    this.back.hidden = !this.away;
    this.empty.hidden = rows.count > 0;
    if (rows.count === 0)
      say(
        this.empty,
        store.loading
          ? 'Loading…'
          : store.columns.n === 0
            ? 'Nothing has happened yet. What comes is shown at once.'
            : 'Nothing that the filter takes.',
      );
  }

  /** The row before or after, by what the list shows. @param {1 | -1} step */
  step(step) {
    const { store } = this.ctx;
    const { rows } = this;
    const at = rows.row(store.cursor);
    const exact = at >= 0 && rows.seq(at) === store.cursor;
    const to = step > 0 ? at + 1 : exact ? at - 1 : at;
    if (to >= 0 && to < rows.count) store.go(rows.seq(to));
  }
}

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    const { store } = ctx;
    this.side = new ServiceList(ctx);
    this.key = '';
    this.events = new EventList(ctx, { label: 'Events', rows: () => this.shown() });
    this.detail = new Detail(ctx);
    this.at = h('span', { class: 'at' });
    this.root = h(
      'div',
      { class: 'columns three' },
      this.side.root,
      h(
        'section',
        { class: 'pane main', 'aria-labelledby': 'events-title' },
        h('div', { class: 'pane-head' }, h('h1', { id: 'events-title' }, 'Events'), this.at),
        this.events.root,
      ),
      this.detail.root,
    );
    this.rows = store.rows;
  }

  /** The rows of the filter, narrowed to the chosen service. */
  shown() {
    const { store } = this.ctx;
    const { service } = store.view;
    if (!service || store.filter.service === service) return store.rows;
    const key = `${store.version} ${service}`;
    if (key !== this.key || this.rows.columns !== store.columns) {
      this.key = key;
      this.rows = store.narrowed({ service });
    }
    return this.rows;
  }

  /** @param {Set<string>} changed */
  update(changed) {
    const { store } = this.ctx;
    const rows = this.shown();
    if (rows !== store.rows) rows.grow();
    this.events.update();
    this.side.update();
    this.detail.update(changed);
    const search = store.search && store.search.upto < store.head ? `; looked through ${number(Math.max(0, store.search.upto))}` : '';
    say(this.at, rows.all && !store.view.z ? `${number(rows.count)}` : `${number(rows.count)} of ${number(store.columns.n)}${search}`);
  }

  /** @param {string} act */
  act(act) {
    if (act === 'listOn' || act === 'listBack') {
      this.events.step(act === 'listOn' ? 1 : -1);
      return true;
    }
    return this.detail.act(act);
  }
}
