/** Latencies as bars, on a logarithmic scale, with failures on top; the same in words is the table beside it. */
import { h } from './dom.js';
import { number, span } from './words.js';

/**
 * @param {number[]} bounds upper bounds in microseconds @param {number[]} counts @param {number[]} failed
 */
export function histogram(bounds, counts, failed) {
  let first = counts.findIndex((n) => n > 0);
  if (first < 0) return h('p', { class: 'empty' }, 'No latency was recorded.');
  let last = counts.length - 1;
  while (last > first && counts[last] === 0) last -= 1;
  first = Math.max(0, first - 1);
  last = Math.min(counts.length - 1, last + 1);
  const n = last - first + 1;
  const width = 900;
  const height = 120;
  const base = height - 18;
  const wide = width / n;
  const most = Math.max(...counts);
  const tall = (/** @type {number} */ v) => (v === 0 ? 0 : Math.max(2, (Math.log1p(v) / Math.log1p(most)) * (base - 12)));
  const bars = [];
  for (let i = first; i <= last; i++) {
    const x = (i - first) * wide;
    const all = tall(counts[i]);
    const bad = failed[i] > 0 ? Math.max(2, all * (failed[i] / Math.max(1, counts[i]))) : 0;
    bars.push(
      h(
        'g',
        null,
        h('rect', { x: x + 1, y: 0, width: wide - 2, height: base, class: 'hover' }),
        h('rect', { x: x + 1, y: base - all, width: wide - 2, height: all, class: 'bar' }),
        bad ? h('rect', { x: x + 1, y: base - all, width: wide - 2, height: bad, class: 'bad-bar' }) : null,
        counts[i] > 0 ? h('text', { x: x + wide / 2, y: base - all - 3, 'text-anchor': 'middle', class: 'tick' }, number(counts[i])) : null,
      ),
    );
    if (i < bounds.length && (n <= 16 || (i - first) % 2 === 0))
      bars.push(
        h(
          'text',
          { x: x + wide, y: height - 4, 'text-anchor': 'middle', class: 'tick' },
          i === last ? '' : span(bounds[i]).replace('\u202f', ''),
        ),
      );
  }
  return h(
    'svg',
    {
      viewBox: `0 0 ${width} ${height}`,
      class: 'histogram',
      role: 'img',
      'aria-label': 'How often which latency came up; the table has the percentiles',
    },
    bars,
  );
}
