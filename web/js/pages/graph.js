/** Graph: services in layers by who calls whom. Width is the number of requests, dashes are failures; the Traffic table says the same in words. */
import { edgeName } from '../columns.js';
import { fill, h, say } from '../dom.js';
import { layers } from '../layers.js';
import { driftGlyph } from '../summary.js';
import { count, number, percent } from '../words.js';
import { services } from './services.js';

/** More nodes than these no picture makes clear; those with the most traffic are drawn. */
const MOST = 60;
const WIDE = 150;
const TALL = 34;
const GAP_X = 110;
const GAP_Y = 22;
const GLYPHS = { failed: '✗', ready: '●', healthy: '●', starting: '◌', stopping: '◌', stopped: '○' };

export class Page {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.at = h('span', { class: 'at' });
    this.picture = h('div', { class: 'graph', tabindex: '0', role: 'region', 'aria-label': 'Graph of services' });
    this.note = h('p', { class: 'empty' });
    this.root = h(
      'section',
      { class: 'pane whole', 'aria-labelledby': 'graph-title' },
      h('div', { class: 'pane-head' }, h('h1', { id: 'graph-title' }, 'Graph'), this.at),
      this.picture,
      this.note,
    );
    this.drawn = '';
    this.before = new Map();
  }

  update() {
    const { store, state } = this.ctx;
    const now = state.get();
    if (!now) return;
    const edges = [];
    for (const [source, targets] of Object.entries(now.edges ?? {})) {
      for (const [target, edge] of Object.entries(/** @type {any} */ (targets)))
        edges.push({ source, target, ...edge, weight: Number(edge.requests) + Number(edge.connections) });
    }
    const rows = new Map(services(this.ctx).map((row) => [row.name, row]));
    const key = JSON.stringify([
      now.seq,
      store.view.service,
      store.view.edge,
      [...rows.values()].map((row) => [row.name, row.status, row.drift]),
    ]);
    if (key === this.drawn) return;
    this.drawn = key;
    const weight = new Map();
    for (const edge of edges) {
      weight.set(edge.source, (weight.get(edge.source) ?? 0) + edge.weight);
      weight.set(edge.target, (weight.get(edge.target) ?? 0) + edge.weight);
    }
    for (const name of rows.keys()) if (!weight.has(name)) weight.set(name, 0);
    const names = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a) || (a < b ? -1 : 1)).slice(0, MOST);
    const kept = new Set(names);
    const shown = edges.filter((edge) => kept.has(edge.source) && kept.has(edge.target));
    say(
      this.at,
      `${count(names.length, 'service')}${weight.size > MOST ? ` of ${number(weight.size)}, those with the most traffic` : ''}, ${count(shown.length, 'edge')} at ${number(now.seq)}`,
    );
    this.note.hidden = names.length > 0;
    say(this.note, 'No service up to this moment.');
    if (names.length === 0) {
      fill(this.picture);
      return;
    }
    this.draw(names, shown, rows);
  }

  /** @param {string[]} names @param {any[]} edges @param {Map<string, any>} rows */
  draw(names, edges, rows) {
    const { store } = this.ctx;
    const { places, via, width, height } = layers(names, edges);
    const x = (/** @type {number} */ column) => 16 + column * (WIDE + GAP_X);
    const y = (/** @type {number} */ row, /** @type {number} */ of) => 16 + (row + (height - of) / 2) * (TALL + GAP_Y);
    const at = new Map([...places].map(([name, place]) => [name, [x(place.column), y(place.row, place.of)]]));
    const most = Math.max(1, ...edges.map((edge) => edge.weight));
    const lines = edges.map((edge) => {
      const [ax, ay] = /** @type {number[]} */ (at.get(edge.source));
      const [bx, by] = /** @type {number[]} */ (at.get(edge.target));
      const back = bx <= ax;
      const from = [ax + WIDE, ay + TALL / 2];
      const to = [back ? bx + WIDE : bx, by + TALL / 2];
      const bend = back ? 60 : Math.max(30, (to[0] - from[0]) / 2);
      const bends = (via.get(`${edge.source}\n${edge.target}`) ?? []).map((bend) => /** @type {number[]} */ (at.get(bend)));
      const path = bends.length
        ? through(from, bends, to)
        : edge.source === edge.target
          ? `M ${ax + WIDE - 20} ${ay} C ${ax + WIDE} ${ay - 26}, ${ax + WIDE + 26} ${ay}, ${ax + WIDE} ${ay + 12}`
          : `M ${from[0]} ${from[1]} C ${from[0] + bend} ${from[1]}, ${to[0] + (back ? bend : -bend)} ${to[1]}, ${to[0]} ${to[1]}`;
      const name = edgeName(edge.source, edge.target);
      const failing = Number(edge.failures) > 0;
      const grown = edge.weight > (this.before.get(name) ?? edge.weight) && store.follows;
      this.before.set(name, edge.weight);
      const wide = 1 + 4 * (Math.log1p(edge.weight) / Math.log1p(most));
      const label = `${number(edge.weight)}${failing ? ` · ✗ ${percent(edge.failures, Math.max(1, edge.requests))}` : ''}`;
      const first = bends[0];
      const middle = first
        ? [first[0] + WIDE / 2, first[1] + TALL / 2 - 5]
        : [(from[0] + to[0]) / 2 + (back ? bend * 0.75 : 0), (from[1] + to[1]) / 2 - 5];
      return h(
        'g',
        {
          class: `edge ${failing ? 'failing' : ''} ${store.view.edge === name ? 'chosen' : ''} ${grown ? 'lit' : ''}`,
          on: { click: () => store.see({ page: 'traffic', edge: name }, { push: true }) },
        },
        h('path', { d: path, class: 'hit' }),
        h('path', {
          d: path,
          class: 'line',
          'stroke-width': wide.toFixed(1),
          'stroke-dasharray': failing ? '6 4' : null,
          'marker-end': null,
        }),
        h('text', { x: middle[0], y: middle[1], 'text-anchor': 'middle', class: 'label' }, label),
      );
    });
    const nodes = names.map((name) => {
      const [nx, ny] = /** @type {number[]} */ (at.get(name));
      const row = rows.get(name) ?? {};
      const status = row.status || '';
      const drift = driftGlyph(row.drift);
      const words = `${name}${status ? `, ${status}` : ''}${row.drift ? `, ${row.drift.replace('-', ' ')}` : ''}${row.failures ? `, ${count(row.failures, 'failure')}` : ''}`;
      const node = h(
        'g',
        {
          class: `node st-${status || 'none'} ${store.view.service === name ? 'chosen' : ''}`,
          tabindex: '0',
          role: 'button',
          'aria-label': `${words}: its traffic`,
          'data-name': name,
        },
        h('rect', { x: nx, y: ny, width: WIDE, height: TALL, rx: 6 }),
        h('text', { x: nx + 10, y: ny + 21, class: `glyph st-${status || 'none'}` }, GLYPHS[/** @type {'ready'} */ (status)] ?? '·'),
        h('text', { x: nx + 26, y: ny + 21, class: 'name' }, name.length > 15 ? `${name.slice(0, 14)}…` : name),
        drift
          ? h('text', { x: nx + WIDE - 10, y: ny + 21, 'text-anchor': 'end', class: row.drift === 'in-sync' ? 'good' : 'drift' }, drift)
          : null,
      );
      const open = () => store.see({ page: 'traffic', service: name, edge: '' }, { push: true });
      node.addEventListener('click', open);
      node.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
        if (event.key === 'Enter' || event.key === ' ') open();
        else if (event.key.startsWith('Arrow')) this.move(name, event.key, at);
        else return;
        event.preventDefault();
        event.stopPropagation();
      });
      return node;
    });
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.name;
    const w = x(width - 1) + WIDE + 80;
    const tall = 32 + height * (TALL + GAP_Y);
    fill(
      this.picture,
      h(
        'svg',
        {
          width: w,
          height: tall,
          viewBox: `0 0 ${w} ${tall}`,
          class: 'graph-svg',
          role: 'group',
          'aria-label': `${count(names.length, 'service')} and who calls whom`,
        },
        lines,
        nodes,
      ),
    );
    if (focused) /** @type {HTMLElement | null} */ (this.picture.querySelector(`[data-name="${CSS.escape(focused)}"]`))?.focus();
  }

  /** To the nearest node in a direction. @param {string} name @param {string} key @param {Map<string, number[]>} at */
  move(name, key, at) {
    const [x, y] = /** @type {number[]} */ (at.get(name));
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[/** @type {'ArrowUp'} */ (key)];
    let best = '';
    let least = Number.POSITIVE_INFINITY;
    for (const [other, [ox, oy]] of at) {
      const along = (ox - x) * way[0] + (oy - y) * way[1];
      const across = Math.abs((ox - x) * way[1]) + Math.abs((oy - y) * way[0]);
      if (along > 0 && along + 2 * across < least) {
        least = along + 2 * across;
        best = other;
      }
    }
    if (best) /** @type {HTMLElement | null} */ (this.picture.querySelector(`[data-name="${CSS.escape(best)}"]`))?.focus();
  }

  /** @param {string} act */
  act(act) {
    if (act === 'listOn' || act === 'listBack') {
      /** @type {HTMLElement | null} */ (this.picture.querySelector('[data-name]'))?.focus();
      return true;
    }
    return false;
  }
}

/** A line through the places that are free for it. @param {number[]} from @param {number[][]} bends @param {number[]} to */
function through(from, bends, to) {
  const half = GAP_X / 2;
  let [x, y] = from;
  let path = `M ${x} ${y}`;
  for (const [bx, by] of bends) {
    const middle = by + TALL / 2;
    path += ` C ${x + half} ${y}, ${bx - half} ${middle}, ${bx} ${middle} L ${bx + WIDE} ${middle}`;
    [x, y] = [bx + WIDE, middle];
  }
  return `${path} C ${x + half} ${y}, ${to[0] - half} ${to[1]}, ${to[0]} ${to[1]}`;
}
