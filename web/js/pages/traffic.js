/** Traffic: a row an edge, how long its requests took, and the requests themselves. */
import { edgeName, ends, FAILURE, NO_LATENCY } from '../columns.js';
import { Detail } from '../detail.js';
import { fill, h, pieces, say } from '../dom.js';
import { histogram } from '../histogram.js';
import '../list.js';
import { Latest } from '../source.js';
import { callOf, outcome } from '../summary.js';
import { both, clock, count, number, percent, span } from '../words.js';
import { EventList } from './events.js';

/** What is asked for again while it goes on, in milliseconds. */
const EVERY = 1000;

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    const { store } = ctx;
    this.list = /** @type {import('../list.js').List} */ (document.createElement('rig-list'));
    this.list.setAttribute('aria-label', 'Edges');
    this.list.draw = (node, row) => this.draw(node, row);
    this.list.choose = (row) => {
      const edge = this.edges[row] ? edgeName(this.edges[row].source, this.edges[row].target) : '';
      store.see({ edge: store.view.edge === edge ? '' : edge }, { push: true });
    };
    this.list.addEventListener('keydown', (event) => this.keydown(/** @type {KeyboardEvent} */ (event)));
    this.head = h(
      'div',
      { class: 'row-head edge-row', 'aria-hidden': 'true' },
      ['edge', 'requests', 'failed', 'p50', 'p95', 'p99', 'max'].map((name, i) => h('span', { class: `cell ${i ? 'num' : 'grow'}` }, name)),
    );
    this.at = h('span', { class: 'at' });
    this.picture = h('div', { class: 'picture' });
    this.which = h('h2', null, 'Requests');
    this.order = h(
      'select',
      { 'aria-label': 'Order', on: { change: () => store.touch('view') } },
      h('option', { value: 'time' }, 'in order'),
      h('option', { value: 'slow' }, 'slowest first'),
      h('option', { value: 'failed' }, 'failed only'),
    );
    this.listed = h('span', { class: 'at' });
    this.requests = new EventList(ctx, {
      label: 'Requests',
      rows: () => this.shown(),
      draw: (node, seq, event) => this.request(node, seq, event),
    });
    this.detail = new Detail(ctx);
    this.none = h('p', { class: 'empty' }, 'No traffic up to this moment.');
    this.root = h(
      'div',
      { class: 'columns traffic' },
      h(
        'div',
        { class: 'stack' },
        h(
          'section',
          { class: 'pane edges', 'aria-labelledby': 'traffic-title' },
          h('div', { class: 'pane-head' }, h('h1', { id: 'traffic-title' }, 'Traffic'), this.at),
          this.head,
          this.list,
          this.none,
        ),
        h(
          'section',
          { class: 'pane main', 'aria-label': 'Requests' },
          h('div', { class: 'pane-head' }, this.which, this.order, this.listed),
          this.picture,
          this.requests.root,
        ),
      ),
      this.detail.root,
    );
    this.latest = new Latest();
    this.asked = 0;
    this.timer = 0;
    /** @type {any[]} */
    this.edges = [];
    /** @type {any} */
    this.found = null;
    this.key = '';
    this.rows = store.rows;
    this.pictured = '';
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    const to = Math.min(Math.max(0, this.list.chosen + step), this.edges.length - 1);
    const row = this.edges[to];
    if (row) this.ctx.store.see({ edge: edgeName(row.source, row.target) });
    this.list.scrollToRow(to);
    event.preventDefault();
    event.stopPropagation();
  }

  /** What of the requests is listed, slowest first or in order. */
  shown() {
    const { store } = this.ctx;
    const { edge, service } = store.view;
    const how = this.order.value;
    const key = `${store.version} ${edge} ${service} ${how} ${how === 'slow' ? store.columns.loaded : ''}`;
    if (key !== this.key || this.rows.columns !== store.columns) {
      this.key = key;
      const types = ['request.*', 'grpc.call.completed', 'kafka.request.completed', 'connection.*'];
      const rows = store.narrowed({
        types,
        edge,
        service: edge ? '' : service || store.filter.service,
        failed: how === 'failed' || store.filter.failed,
      });
      this.rows = how === 'slow' ? new Slowest(rows) : rows;
    }
    return this.rows;
  }

  load() {
    const { store } = this.ctx;
    const from = store.lowest;
    const to = store.cursor;
    if (store.columns.n === 0 || to < from) {
      this.edges = [];
      this.found = null;
      return;
    }
    const key = `${store.view.stream} ${store.epoch} ${from} ${to}`;
    if (this.latest.key === key) return;
    const since = Date.now() - this.asked;
    if (this.latest.busy && (store.follows || store.playing)) return;
    if (since < (store.follows || store.playing ? EVERY : 60)) {
      if (!this.timer)
        this.timer = setTimeout(() => {
          this.timer = 0;
          store.touch('traffic');
        }, EVERY - since);
      return;
    }
    this.asked = Date.now();
    this.latest.get(
      key,
      (signal) => store.source.json(`${store.source.of('traffic')}?from=${from}&to=${to}`, { signal }),
      (found) => {
        this.found = found;
        this.edges = found.edges;
        store.touch('traffic');
      },
      (error) => {
        this.edges = [];
        say(this.none, error.message);
        store.touch('traffic');
      },
    );
  }

  /** @param {HTMLElement} node @param {number} at */
  draw(node, at) {
    const row = this.edges[at];
    if (!row) return;
    node.classList.add('edge-row');
    const cell = (/** @type {any} */ what, kind = 'num') => h('span', { class: `cell ${kind}`, role: 'gridcell' }, what);
    const { latency } = row;
    fill(
      node,
      cell(
        [
          h('span', { class: 'name' }, row.source),
          h('span', { class: 'soft' }, ' → '),
          h('span', { class: 'name' }, row.target),
          row.connections ? h('span', { class: 'soft' }, ` ${count(row.connections, 'connection')}`) : '',
        ],
        'grow mono',
      ),
      cell(number(row.requests)),
      cell(row.failed ? `✗ ${number(row.failed)} (${percent(row.failed, row.requests)})` : '0', row.failed ? 'num bad' : 'num soft'),
      cell(latency ? span(latency.p50_us) : '–'),
      cell(latency ? span(latency.p95_us) : '–'),
      cell(latency ? span(latency.p99_us) : '–'),
      cell(latency ? span(latency.max_us) : '–'),
    );
  }

  /** @param {HTMLElement} node @param {number} seq @param {any} event */
  request(node, seq, event) {
    const { columns } = this.ctx.store;
    const at = seq - columns.first;
    const failed = ((columns.flags[at] ?? 0) & FAILURE) !== 0;
    const us = columns.timeOf(seq);
    const call = event ? callOf(event) : null;
    const went =
      event && (call.status !== undefined || call.status_code !== undefined || call.grpc_status !== undefined || failed)
        ? outcome(event).text
        : '';
    const latency = columns.latency[at];
    const [source, target] = ends(columns.edgeOf(seq));
    fill(
      node,
      h('span', { class: 'cell num soft seq', role: 'gridcell' }, number(seq)),
      h('span', { class: 'cell time', role: 'gridcell', title: both(us) }, clock(us)),
      h(
        'span',
        { class: `cell status ${failed ? 'bad' : /^4/.test(went) ? 'warn' : 'good'}`, role: 'gridcell' },
        failed ? `✗ ${went}` : went,
      ),
      h('span', { class: 'cell num latency', role: 'gridcell' }, latency === NO_LATENCY || latency === undefined ? '' : span(latency)),
      h(
        'span',
        { class: 'cell grow words', role: 'gridcell' },
        pieces([
          ['name', source],
          ['soft', ' → '],
          ['name', target],
          ['', call ? ` ${call.method ?? ''} ${call.path ?? call.grpc_service ?? ''}` : ''],
        ]),
      ),
    );
  }

  /** @param {Set<string>} changed */
  update(changed) {
    const { store } = this.ctx;
    this.load();
    this.list.chosen = this.edges.findIndex((row) => edgeName(row.source, row.target) === store.view.edge);
    this.list.update(this.edges.length);
    this.none.hidden = this.edges.length > 0 || this.latest.busy;
    const more = this.found?.more ? ` of ${number(this.found.more + this.edges.length)}` : '';
    say(this.at, this.found ? `${count(this.edges.length, 'edge')}${more}, #${number(this.found.from)} to #${number(this.found.to)}` : '');
    const chosen = this.edges[this.list.chosen];
    const drawn = JSON.stringify([store.view.edge, this.found?.from, this.found?.to]);
    if (drawn !== this.pictured) {
      this.pictured = drawn;
      const sum = (/** @type {string} */ name) =>
        this.found.bounds_us
          .concat(0)
          .map((/** @type {number} */ _, /** @type {number} */ i) => this.edges.reduce((n, row) => n + row[name][i], 0));
      fill(
        this.picture,
        !this.found || this.edges.length === 0
          ? ''
          : chosen
            ? histogram(this.found.bounds_us, chosen.counts, chosen.failed_counts)
            : histogram(this.found.bounds_us, sum('counts'), sum('failed_counts')),
      );
    }
    say(this.which, store.view.edge ? store.view.edge.replace('→', ' → ') : 'All requests');
    const rows = this.shown();
    rows.grow();
    this.requests.update();
    say(this.listed, `${number(rows.count)} of ${number(store.columns.n)}${rows.cut ? ': the slowest' : ''}`);
    this.detail.update(changed);
  }

  /** @param {string} act */
  act(act) {
    if (act === 'listOn' || act === 'listBack') {
      this.requests.step(act === 'listOn' ? 1 : -1);
      return true;
    }
    if (act === 'close' && this.ctx.store.view.edge) {
      this.ctx.store.see({ edge: '' }, { push: true });
      return true;
    }
    return this.detail.act(act);
  }
}

/** Most requests that are put in the order of their latency. */
const MOST = 10_000;

/** The slowest requests, also those after the cursor: whoever goes to one of them finds the others where they were. */
class Slowest {
  /** @param {import('../columns.js').Rows} rows */
  constructor(rows) {
    const { columns } = rows;
    this.columns = columns;
    this.all = false;
    const seqs = [];
    for (let i = 0; i < rows.count; i++) {
      const seq = rows.seq(i);
      if (columns.latency[seq - columns.first] !== NO_LATENCY) seqs.push(seq);
    }
    seqs.sort((a, b) => columns.latency[b - columns.first] - columns.latency[a - columns.first] || a - b);
    this.cut = seqs.length > MOST;
    this.seqs = seqs.slice(0, MOST);
  }

  grow() {}

  get count() {
    return this.seqs.length;
  }

  /** @param {number} row */
  seq(row) {
    return this.seqs[row];
  }

  /** @param {number} seq */
  row(seq) {
    return this.seqs.indexOf(seq);
  }
}
