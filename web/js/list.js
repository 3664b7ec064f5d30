/** `<rig-list>`: any number of rows in one screen of nodes. Each row is as high as the others. */
import { fill, h } from './dom.js';

/** Higher than this no element may be. */
const HIGHEST = 8_000_000;

export class List extends HTMLElement {
  constructor() {
    super();
    this.count = 0;
    this.height_ = 22;
    this.top_ = 0;
    /** The chosen row; -1: none. */
    this.chosen = -1;
    /** Draws a row into its node. @type {(node: HTMLElement, row: number) => void} */
    this.draw = () => {};
    /** @type {(row: number, event: Event) => void} */
    this.choose = () => {};
    /** Called when somebody scrolled. */
    this.scrolled = () => {};
    /** @type {HTMLElement[]} */
    this.nodes = [];
    /** Whether it keeps showing the last row. */
    this.sticky = false;
    /** Where it was scrolled to by itself. */
    this.expected = 0;
    this.drawn = '';
  }

  connectedCallback() {
    if (this.space) {
      // A node that was taken out and put back begins at its top again.
      this.observer?.observe(this);
      this.scrollTop = this.expected;
      return;
    }
    this.id ||= `list-${Math.random().toString(36).slice(2, 8)}`;
    this.classList.add('list');
    this.tabIndex = 0;
    this.setAttribute('role', 'grid');
    this.view = h('div', { class: 'list-view', role: 'rowgroup' });
    this.space = h('div', { class: 'list-space', role: 'presentation' }, this.view);
    this.append(this.space);
    this.addEventListener('scroll', () => this.onScroll(), { passive: true });
    this.addEventListener('wheel', (event) => this.onWheel(/** @type {WheelEvent} */ (event)), { passive: false });
    this.addEventListener('click', (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest('.row');
      if (row && !(/** @type {HTMLElement} */ (event.target).closest('button, a')))
        this.choose(Number(/** @type {HTMLElement} */ (row).dataset.row), event);
    });
    this.observer = new ResizeObserver(() => this.render(true));
    this.observer.observe(this);
  }

  disconnectedCallback() {
    this.observer?.disconnect();
  }

  get shown() {
    return Math.max(1, Math.floor(this.clientHeight / this.height_));
  }

  get isTall() {
    return this.count * this.height_ > HIGHEST;
  }

  onScroll() {
    const height = Math.min(this.count * this.height_, HIGHEST);
    const room = height - this.clientHeight;
    const last = Math.max(0, this.count - this.shown);
    const at = this.isTall ? Math.round((this.scrollTop / Math.max(1, room)) * last) : this.scrollTop / this.height_;
    if (this.scrollTop !== this.expected) {
      this.expected = this.scrollTop;
      this.top_ = at;
      this.scrolled();
    }
    this.render();
  }

  /** Far down, one pixel of the bar is many rows: the wheel has steps of its own. @param {WheelEvent} event */
  onWheel(event) {
    if (!this.isTall || event.ctrlKey) return;
    event.preventDefault();
    const rows = event.deltaMode === 1 ? event.deltaY : event.deltaY / this.height_;
    this.scrollToRow(this.top_ + (Math.abs(rows) < 1 ? Math.sign(rows) : rows), 'top');
    this.scrolled();
  }

  /** @param {number} row @param {'top' | 'near'} [how] near: only as far as needed */
  scrollToRow(row, how = 'near') {
    const last = Math.max(0, this.count - this.clientHeight / this.height_);
    let top = this.top_;
    if (how === 'top') top = row;
    else if (row < top + 1) top = row - Math.min(3, this.shown / 3);
    else if (row > top + this.shown - 2) top = row - this.shown + 2 + Math.min(2, this.shown / 4);
    top = Math.min(Math.max(0, top), last);
    if (top === this.top_ && !this.sticky) return;
    this.top_ = top;
    const height = Math.min(this.count * this.height_, HIGHEST);
    const room = height - this.clientHeight;
    const to = this.isTall ? (top / Math.max(1, this.count - this.shown)) * room : top * this.height_;
    this.scrollTop = to;
    this.expected = this.scrollTop;
  }

  /** Whether a row is on the screen. @param {number} row */
  sees(row) {
    return row >= Math.floor(this.top_) && row < this.top_ + this.clientHeight / this.height_;
  }

  /** @param {number} count @param {{ force?: boolean }} [how] */
  update(count, how = {}) {
    const changed = count !== this.count;
    this.count = count;
    if (changed) {
      this.setAttribute('aria-rowcount', String(count));
      if (this.space) this.space.style.height = `${Math.min(count * this.height_, HIGHEST)}px`;
    }
    const last = Math.max(0, this.count - this.clientHeight / this.height_);
    if (this.sticky) this.scrollToRow(last, 'top');
    else if (this.top_ > last) this.scrollToRow(last, 'top');
    this.render(how.force ?? true);
  }

  /** @param {boolean} [force] */
  render(force = false) {
    if (!this.view || this.clientHeight === 0) return;
    const first = Math.floor(this.top_);
    const shown = Math.min(this.count - first, Math.ceil(this.clientHeight / this.height_) + 1);
    const key = `${first} ${shown} ${this.top_}`;
    if (!force && key === this.drawn) return;
    this.drawn = key;
    while (this.nodes.length < shown) {
      const node = h('div', { class: 'row', role: 'row' });
      this.nodes.push(node);
      this.view.append(node);
    }
    while (this.nodes.length > Math.max(shown, 0)) this.nodes.pop()?.remove();
    const offset = this.isTall ? this.scrollTop - (this.top_ - first) * this.height_ : first * this.height_;
    this.view.style.transform = `translateY(${offset}px)`;
    for (let i = 0; i < shown; i++) {
      const node = this.nodes[i];
      const row = first + i;
      node.dataset.row = String(row);
      node.id = `${this.id}-${row}`;
      node.setAttribute('aria-rowindex', String(row + 1));
      const chosen = row === this.chosen;
      node.classList.toggle('chosen', chosen);
      node.setAttribute('aria-selected', String(chosen));
      this.draw(node, row);
    }
    const active = this.chosen >= first && this.chosen < first + shown ? `${this.id}-${this.chosen}` : '';
    if (active) this.setAttribute('aria-activedescendant', active);
    else this.removeAttribute('aria-activedescendant');
  }
}

customElements.define('rig-list', List);

/** Fills a row with cells. @param {HTMLElement} node @param {...any} cells */
export function cells(node, ...cells) {
  fill(node, cells);
}
