/** Logs: the output of one service or of all, with stderr marked and colours of our own. */
import { STDERR } from '../columns.js';
import { button, fill, h, pieces, say } from '../dom.js';
import { ansi } from '../summary.js';
import { both, clock, number } from '../words.js';
import { EventList } from './events.js';
import { ServiceList } from './services.js';

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.side = new ServiceList(ctx);
    this.key = '';
    this.rows = ctx.store.rows;
    this.only = false;
    this.lines = new EventList(ctx, { label: 'Output', rows: () => this.shown(), draw: (node, seq, event) => this.draw(node, seq, event) });
    this.at = h('span', { class: 'at' });
    this.stderr = button('stderr only', () => this.toggle(), { class: 'small', 'aria-pressed': 'false' });
    this.whole = h('pre', { class: 'log-whole', tabindex: '0', 'aria-label': 'The chosen output' });
    this.near = h('div', { class: 'tools' });
    this.root = h(
      'div',
      { class: 'columns side-main' },
      this.side.root,
      h(
        'section',
        { class: 'pane main', 'aria-labelledby': 'logs-title' },
        h('div', { class: 'pane-head' }, h('h1', { id: 'logs-title' }, 'Logs'), this.stderr, this.at, this.near),
        this.lines.root,
        this.whole,
      ),
    );
  }

  toggle() {
    this.only = !this.only;
    this.stderr.setAttribute('aria-pressed', String(this.only));
    this.key = '';
    this.ctx.store.touch('view');
  }

  shown() {
    const { store } = this.ctx;
    const { service } = store.view;
    const key = `${store.version} ${service} ${this.only}`;
    if (key !== this.key || this.rows.columns !== store.columns) {
      this.key = key;
      this.rows = store.narrowed({
        types: ['service.log'],
        service: service || store.filter.service,
        ...(this.only ? { flag: STDERR } : {}),
      });
    }
    return this.rows;
  }

  /** @param {HTMLElement} node @param {number} seq @param {any} event */
  draw(node, seq, event) {
    const { columns } = this.ctx.store;
    const us = columns.timeOf(seq);
    const stderr = ((columns.flags[seq - columns.first] ?? 0) & STDERR) !== 0;
    const text = event ? String((event.log ?? event).data ?? '').trimEnd() : '';
    const end = text.indexOf('\n');
    const more = end < 0 ? 0 : text.split('\n').length - 1;
    const line = ansi(end < 0 ? text : text.slice(0, end));
    fill(
      node,
      h('span', { class: 'cell time', role: 'gridcell', title: `#${number(seq)} ${both(us)}` }, clock(us)),
      h('span', { class: 'cell service', role: 'gridcell' }, columns.serviceOf(seq)),
      h('span', { class: `cell ${stderr ? 'stderr' : ''}`, role: 'gridcell', title: stderr ? 'stderr' : null }, stderr ? '!' : ' '),
      h(
        'span',
        { class: `cell grow words ${stderr ? 'stderr' : ''}`, role: 'gridcell' },
        pieces(line),
        more ? h('span', { class: 'soft' }, ` ⏎ ${more} more`) : '',
      ),
    );
  }

  update() {
    const { store } = this.ctx;
    const rows = this.shown();
    rows.grow();
    this.lines.update();
    this.side.update();
    say(this.at, `${number(rows.count)} of ${number(store.columns.n)}`);
    const row = rows.row(store.cursor);
    const seq = row >= 0 ? rows.seq(row) : 0;
    const event = seq ? store.source.event(seq) : null;
    const text = event ? String((event.log ?? event).data ?? '').trimEnd() : '';
    this.whole.hidden = !text.includes('\n') && text.length < 160;
    if (!this.whole.hidden && this.whole.dataset.seq !== String(seq)) {
      this.whole.dataset.seq = String(seq);
      fill(this.whole, pieces(ansi(text)));
    }
    if (this.nearSeq !== seq) {
      this.nearSeq = seq;
      fill(
        this.near,
        seq
          ? button('Traffic then', () => store.see({ page: 'traffic', seq }, { push: true }), {
              class: 'small',
              title: 'The requests of the same moment',
            })
          : null,
      );
    }
  }

  /** @param {string} act */
  act(act) {
    if (act !== 'listOn' && act !== 'listBack') return false;
    this.lines.step(act === 'listOn' ? 1 : -1);
    return true;
  }
}
