/** `<rig-timeline>`: the scrubber. How much happened when, where failures, drifts and changes lie, and the cursor. */
import { ABSENT, FAILURE, kindOfType, MISSING } from './columns.js';
import { clock, number } from './words.js';

const LANES = ['failure', 'drift', 'change'];
const GLYPHS = { failure: '✗', drift: '◆', change: '△' };
const SIZE = 2048;

/** What happened, in so many pieces of the same width; it grows without being made anew. */
export class Buckets {
  /** @param {number} start @param {number} width */
  constructor(start, width) {
    this.start = start;
    this.width = width;
    this.all = new Uint32Array(SIZE);
    this.failure = new Uint32Array(SIZE);
    this.drift = new Uint32Array(SIZE);
    this.change = new Uint32Array(SIZE);
    this.end = start;
  }

  /** @param {number} at @param {number} flags @param {string} kind */
  add(at, flags, kind) {
    let bucket = Math.floor((at - this.start) / this.width);
    while (bucket >= SIZE) {
      this.halve();
      bucket = Math.floor((at - this.start) / this.width);
    }
    if (bucket < 0) bucket = 0;
    this.all[bucket] += 1;
    if (flags & FAILURE) this.failure[bucket] += 1;
    if (kind === 'drift') this.drift[bucket] += 1;
    else if (kind === 'change') this.change[bucket] += 1;
    if (at > this.end) this.end = at;
  }

  /** Doubles the width. */
  halve() {
    for (const array of [this.all, this.failure, this.drift, this.change]) {
      for (let i = 0; i < SIZE / 2; i++) array[i] = array[2 * i] + array[2 * i + 1];
      array.fill(0, SIZE / 2);
    }
    this.width *= 2;
  }
}

export class Timeline extends HTMLElement {
  constructor() {
    super();
    /** @type {any} */
    this.store = null;
    /** @type {Buckets | null} */
    this.buckets = null;
    this.key = '';
    this.done = 0;
    /** @type {string[]} */
    this.kinds = [];
    this.dragging = false;
    /** @type {number | null} */
    this.zoomFrom = null;
    this.hover = -1;
  }

  connectedCallback() {
    if (this.canvas) return;
    this.tabIndex = 0;
    this.setAttribute('role', 'slider');
    this.setAttribute('aria-label', 'Position in the stream');
    this.canvas = document.createElement('canvas');
    this.canvas.setAttribute('aria-hidden', 'true');
    this.append(this.canvas);
    this.addEventListener('pointerdown', (event) => this.down(event));
    this.addEventListener('pointermove', (event) => this.move(event));
    this.addEventListener('pointerup', (event) => this.up(event));
    this.addEventListener('pointerleave', () => {
      this.hover = -1;
      this.draw();
    });
    this.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.draw()).observe(this);
    for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)'])
      matchMedia(query).addEventListener('change', () => this.draw());
  }

  /** What the axis is: time, or the number where idle time is left out. @param {number} seq */
  axis(seq) {
    const { columns } = this.store;
    return this.byNumber ? seq : columns.timeOf(seq);
  }

  get byNumber() {
    const { columns, noIdle } = this.store;
    return noIdle || columns.n < 2 || !(columns.time[columns.n - 1] > columns.time[0]);
  }

  /** @param {number} position */
  seqOf(position) {
    return this.byNumber ? Math.round(position) : this.store.columns.seqAt(position);
  }

  /** Takes what happened since. */
  grow() {
    const { columns, view } = this.store;
    const z = view.z;
    const key = `${columns.first} ${columns.version} ${z} ${this.byNumber} ${columns.time[0]}`;
    const low = z ? Math.max(0, z[0] - columns.first) : 0;
    const high = z ? Math.min(columns.n, z[1] - columns.first + 1) : columns.n;
    if (key !== this.key || !this.buckets) {
      this.key = key;
      this.kinds = [];
      this.done = low;
      const place = (/** @type {number} */ at) => (this.byNumber ? at + columns.first : columns.time[at]);
      let start = low;
      while (start < high && columns.flags[start] & ABSENT) start += 1;
      let end = high - 1;
      while (end > start && columns.flags[end] & ABSENT) end -= 1;
      const from = high > low ? place(start) : 0;
      const to = high > low ? place(Math.max(end, start)) : 1;
      this.buckets = new Buckets(from, Math.max((to - from) / (SIZE - 1), this.byNumber ? 0.001 : 1e-3));
    }
    const { types } = columns;
    while (this.kinds.length < types.all.length) this.kinds.push(kindOfType(types.all[this.kinds.length]));
    const { buckets, kinds, byNumber } = this;
    for (let at = this.done; at < high; at++) {
      const flags = columns.flags[at];
      if (flags & (ABSENT | MISSING)) continue;
      buckets.add(byNumber ? at + columns.first : columns.time[at], flags, kinds[columns.type[at]] ?? '');
    }
    this.done = Math.max(this.done, high);
    return buckets;
  }

  /** @param {{ clientX: number }} event */
  position(event) {
    const box = this.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / Math.max(1, box.width)));
    const { buckets } = this;
    if (!buckets) return 0;
    return buckets.start + part * Math.max(buckets.end - buckets.start, 0);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0) return;
    this.setPointerCapture(event.pointerId);
    if (event.shiftKey) {
      this.zoomFrom = this.position(event);
    } else {
      this.dragging = true;
      this.to(event, true);
    }
    this.focus();
    event.preventDefault();
  }

  /** @param {PointerEvent} event */
  move(event) {
    this.hover = event.offsetX;
    if (this.dragging) this.to(event, false);
    this.draw();
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (this.zoomFrom !== null) {
      const [a, b] = [this.zoomFrom, this.position(event)].sort((x, y) => x - y);
      this.zoomFrom = null;
      this.store.see({ z: [Math.max(this.seqOf(a), this.store.columns.first), this.seqOf(b)] }, { push: true });
    } else if (this.dragging) {
      this.dragging = false;
      this.store.address(true);
    }
  }

  /** A click on a mark goes to it; anywhere else to that moment. @param {PointerEvent} event @param {boolean} first */
  to(event, first) {
    const at = this.position(event);
    let seq = this.seqOf(at);
    const lane = Math.floor(event.offsetY / 13);
    if (first && lane >= 0 && lane < 3) {
      const takes = this.store.kind(LANES[lane]);
      const { buckets } = this;
      const near = buckets ? ((buckets.end - buckets.start) / Math.max(1, this.clientWidth)) * 5 : 0;
      const left = Math.max(this.seqOf(at - near) - 1, this.store.lowest - 1);
      const found = this.store.next(left, 1, takes);
      if (found && this.axis(found) <= at + near) seq = found;
    }
    this.store.playing = false;
    this.store.go(seq);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (event.ctrlKey) return;
    event.preventDefault();
    const { store, buckets } = this;
    if (!buckets) return;
    const centre = this.position(event);
    const range = buckets.end - buckets.start;
    const factor = event.deltaY > 0 ? 1.6 : 1 / 1.6;
    const part = range > 0 ? (centre - buckets.start) / range : 0.5;
    const from = this.seqOf(centre - range * factor * part);
    const to = this.seqOf(centre + range * factor * (1 - part));
    const { columns } = store;
    if (from <= columns.first && to >= columns.last) store.see({ z: null });
    else if (to - from >= 8) store.see({ z: [Math.max(from, columns.first), Math.min(to, columns.last)] });
  }

  draw() {
    const { canvas, store } = this;
    if (!canvas || !store || this.clientWidth === 0) return;
    const { columns } = store;
    const buckets = this.grow();
    const scale = devicePixelRatio || 1;
    const width = this.clientWidth;
    const height = this.clientHeight;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const paint = canvas.getContext('2d');
    if (!paint) return;
    paint.setTransform(scale, 0, 0, scale, 0, 0);
    paint.clearRect(0, 0, width, height);
    const style = getComputedStyle(this);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    const cursor = store.cursor;
    const range = Math.max(buckets.end - buckets.start, 1e-9);
    const x = (/** @type {number} */ position) => Math.min(width - 1, Math.max(0, ((position - buckets.start) / range) * (width - 1)));
    const here = columns.n === 0 ? 0 : store.follows && !store.view.z ? width - 1 : x(this.axis(cursor));

    const counts = new Uint32Array(width);
    const lanes = LANES.map(() => new Uint8Array(width));
    const step = (buckets.width / range) * (width - 1);
    let most = 1;
    for (let i = 0; i < SIZE; i++) {
      if (buckets.all[i] === 0) continue;
      const at = Math.min(width - 1, Math.max(0, Math.floor(i * step)));
      counts[at] += buckets.all[i];
      if (counts[at] > most) most = counts[at];
      if (buckets.failure[i]) lanes[0][at] = 1;
      if (buckets.drift[i]) lanes[1][at] = 1;
      if (buckets.change[i]) lanes[2][at] = 1;
    }
    const top = 41;
    const room = height - top - 1;
    const log = Math.log1p(most);
    for (let at = 0; at < width; at++) {
      if (counts[at] === 0) continue;
      const tall = Math.max(1.5, (Math.log1p(counts[at]) / log) * room);
      paint.fillStyle = colour(at <= here ? 'bar' : 'bar-dim');
      paint.fillRect(at, height - tall, 1, tall);
    }
    paint.font = '10px ui-monospace, monospace';
    paint.textAlign = 'center';
    paint.textBaseline = 'middle';
    const names = ['bad', 'drift', 'change'];
    LANES.forEach((lane, row) => {
      let last = -100;
      for (let at = 0; at < width; at++) {
        if (!lanes[row][at]) continue;
        const dim = at > here ? '-dim' : '';
        paint.fillStyle = colour(names[row] + dim);
        if (at - last >= 9) {
          paint.fillText(GLYPHS[/** @type {'drift'} */ (lane)], Math.min(width - 5, Math.max(5, at + 0.5)), row * 13 + 7);
          last = at;
        } else {
          paint.fillRect(at, row * 13 + 11, 1, 2);
        }
      }
    });
    if (store.view.cmp !== null) {
      paint.fillStyle = colour('accent');
      const mark = Math.round(x(this.axis(store.view.cmp)));
      for (let y = 0; y < height; y += 4) paint.fillRect(mark, y, 1, 2);
    }
    if (this.zoomFrom !== null && this.hover >= 0) {
      const from = x(this.zoomFrom);
      paint.fillStyle = colour('shade');
      paint.fillRect(Math.min(from, this.hover), 0, Math.abs(this.hover - from), height);
    }
    paint.fillStyle = colour('accent');
    paint.fillRect(Math.min(width - 2, Math.round(here)), 0, 2, height);
    if (this.hover >= 0 && this.zoomFrom === null && columns.n > 0) {
      paint.fillStyle = colour('soft');
      paint.fillRect(this.hover, 0, 1, height);
      const seq = this.seqOf(buckets.start + (this.hover / width) * range);
      const label = `#${number(seq)} ${clock(columns.timeOf(seq))}`;
      const half = paint.measureText(label).width / 2 + 4;
      const middle = Math.min(width - half, Math.max(half, this.hover));
      paint.fillStyle = colour('raise');
      paint.fillRect(middle - half, height - 15, 2 * half, 15);
      paint.fillStyle = colour('ink');
      paint.fillText(label, middle, height - 7);
    }
    this.setAttribute('aria-valuemin', String(store.lowest));
    this.setAttribute('aria-valuemax', String(store.highest));
    this.setAttribute('aria-valuenow', String(cursor));
    this.setAttribute('aria-valuetext', `event ${number(cursor)} of ${number(store.head)}, ${clock(columns.timeOf(cursor))} UTC`);
  }
}

customElements.define('rig-timeline', Timeline);
