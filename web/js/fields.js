/** A row of a config or of a difference: a field, a group of them, a line of a text, or a gap. */
import { shownValue } from './detail.js';
import { middle } from './diff.js';
import { fill, h } from './dom.js';
import { secretOf, severityGlyph, value } from './summary.js';
import { both, count, micros, number } from './words.js';

/**
 * Draws a row.
 * @param {HTMLElement} node @param {any} row
 * @param {{ shown: any, severityOf: (path: string) => string, sideBySide: boolean }} how
 */
export function field(node, row, { shown, severityOf, sideBySide }) {
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
      if (head + tail > 0 && v.length - head - tail > 0)
        return [v.slice(0, head), h('mark', { class: kind }, v.slice(head, v.length - tail)), v.slice(v.length - tail)];
    }
    return other !== undefined ? h('mark', { class: kind }, secretOf(v) !== null ? shownValue(v) : value(v, 2000)) : shownValue(v, 2000);
  };
  const label = row.op === 'group' ? `${indent}${row.key}:` : isText ? '' : `${indent}${row.key}: `;
  const severity = severityOf(row.path);
  const sev = h('span', { class: `cell sev ${severity}`, role: 'gridcell', title: severity || null }, severityGlyph(severity));
  const number_ = isText ? h('span', { class: 'cell line-no', role: 'gridcell' }, row.line ? String(row.line) : '') : null;
  if (shown?.tab === 'tree') {
    const blamed = shown.blame.get(row.path);
    const set = blamed?.changes?.[0];
    const source = shown.now.provenance?.[row.path];
    const who = set ? `#${number(set.seq)} ${set.actor ?? ''}` : blamed?.before_recording ? 'before the recording' : '';
    fill(
      node,
      number_,
      h(
        'span',
        { class: 'cell grow field', role: 'gridcell', title: row.path },
        label,
        row.op === 'group' ? '' : content(row.after, undefined, ''),
      ),
      h('span', { class: 'cell soft blame', role: 'gridcell', title: set ? `${set.op} ${both(micros(set.ts))}` : null }, [
        source ? `${source} ` : '',
        who,
      ]),
    );
    return;
  }
  const half = (
    /** @type {string} */ sign,
    /** @type {string} */ kind,
    /** @type {any} */ v,
    /** @type {any} */ other,
    /** @type {boolean} */ there,
  ) =>
    h(
      'span',
      { class: `cell half ${there ? kind : 'nothing'}`, role: 'gridcell' },
      there ? [h('span', { class: 'sign' }, sign), label, row.op === 'group' ? '' : content(v, other, kind)] : '',
    );
  if (sideBySide && !isText) {
    const plain = row.op === 'same' || row.op === 'group';
    fill(
      node,
      sev,
      half(plain ? ' ' : '−', plain ? '' : 'removed', row.before, row.op === 'changed' ? row.after : undefined, row.op !== 'added'),
      half(plain ? ' ' : '+', plain ? '' : 'added', row.after, row.op === 'changed' ? row.before : undefined, row.op !== 'removed'),
    );
    return;
  }
  const sign = { added: '+', removed: '−', changed: '~' }[/** @type {'added'} */ (row.op)] ?? ' ';
  const both_ =
    row.op === 'changed'
      ? [content(row.before, row.after, 'removed'), h('span', { class: 'soft' }, ' → '), content(row.after, row.before, 'added')]
      : content(row.op === 'removed' ? row.before : row.after, undefined, '');
  fill(
    node,
    sev,
    number_,
    h(
      'span',
      { class: `cell grow ${row.op === 'added' || row.op === 'removed' ? row.op : ''}`, role: 'gridcell' },
      h('span', { class: 'sign' }, sign),
      label,
      row.op === 'group' ? '' : both_,
    ),
  );
}
