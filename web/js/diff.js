/** The differences of two configs as rows of a tree, with the unchanged between them folded. */

/** Splits a path into its parts: `a.b[name=x].c` is `a`, `b`, `[name=x]`, `c`. @param {string} path */
export function parts(path) {
  const found = [];
  let part = '';
  let quoted = false;
  let inside = false;
  for (let i = 0; i < path.length; i++) {
    const c = path[i];
    if (quoted) {
      part += c;
      if (c === '\\') part += path[++i] ?? '';
      else if (c === '"') quoted = false;
    } else if (c === '.' && !inside) {
      found.push(part);
      part = '';
    } else if (c === '[' && !inside) {
      found.push(part);
      part = c;
      inside = true;
    } else {
      if (c === '"') quoted = true;
      if (c === ']') inside = false;
      part += c;
    }
  }
  found.push(part);
  return found.filter((p) => p !== '');
}

/** Puts `a2` before `a10`. @param {string} a @param {string} b */
export function order(a, b) {
  const x = /^\[(\d+)\]$/.exec(a);
  const y = /^\[(\d+)\]$/.exec(b);
  if (x && y) return Number(x[1]) - Number(y[1]);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** @param {any} a @param {any} b */
function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/**
 * @typedef {object} Row
 * @property {'group' | 'same' | 'added' | 'removed' | 'changed' | 'gap'} op
 * @property {number} depth
 * @property {string} key
 * @property {string} path
 * @property {any} [before]
 * @property {any} [after]
 * @property {number} [count] of a gap: how many rows it stands for
 * @property {number} [at] of a gap: where it begins
 */

/**
 * Both configs as one tree.
 * @param {Record<string, any>} before @param {Record<string, any>} after
 * @returns {Row[]}
 */
export function tree(before, after) {
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])].map((path) => ({ path, parts: parts(path) }));
  paths.sort((a, b) => {
    for (let i = 0; i < Math.min(a.parts.length, b.parts.length); i++) {
      const o = order(a.parts[i], b.parts[i]);
      if (o !== 0) return o;
    }
    return a.parts.length - b.parts.length;
  });
  /** @type {Row[]} */
  const rows = [];
  /** @type {string[]} */
  let open = [];
  for (const { path, parts: these } of paths) {
    let shared = 0;
    while (shared < these.length - 1 && shared < open.length && open[shared] === these[shared]) shared += 1;
    for (let depth = shared; depth < these.length - 1; depth++)
      rows.push({ op: 'group', depth, key: these[depth], path: these.slice(0, depth + 1).join('.') });
    open = these.slice(0, -1);
    const was = Object.hasOwn(before, path);
    const is = Object.hasOwn(after, path);
    const op = !was ? 'added' : !is ? 'removed' : same(before[path], after[path]) ? 'same' : 'changed';
    rows.push({ op, depth: these.length - 1, key: these[these.length - 1] ?? path, path, before: before[path], after: after[path] });
  }
  return rows;
}

/**
 * Folds what lies further than `around` rows from a change. A row's own groups stay above it.
 * @param {Row[]} rows @param {number} around @param {Set<number>} opened where gaps begin that are shown
 * @returns {Row[]}
 */
export function fold(rows, around, opened = new Set()) {
  const keep = new Uint8Array(rows.length);
  rows.forEach((row, i) => {
    if (row.op === 'same' || row.op === 'group') return;
    for (let j = Math.max(0, i - around); j <= Math.min(rows.length - 1, i + around); j++) keep[j] = 1;
    let depth = row.depth;
    for (let j = i - 1; j >= 0 && depth > 0; j--) {
      if (rows[j].op === 'group' && rows[j].depth < depth) {
        keep[j] = 1;
        depth = rows[j].depth;
      }
    }
  });
  /** @type {Row[]} */
  const folded = [];
  for (let i = 0; i < rows.length; ) {
    if (keep[i]) {
      folded.push(rows[i++]);
      continue;
    }
    let end = i;
    while (end < rows.length && !keep[end]) end += 1;
    if (end - i === 1 || opened.has(i)) folded.push(...rows.slice(i, end));
    else folded.push({ op: 'gap', depth: 0, key: '', path: '', count: end - i, at: i });
    i = end;
  }
  return folded;
}

/** What two texts have in common at both ends, so that the middle can be marked. @param {string} a @param {string} b */
export function middle(a, b) {
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  return { head, tail };
}

/** The hunks of a diff of a text as rows. @param {any[]} all */
export function hunks(all) {
  /** @type {any[]} */
  const rows = [];
  for (const hunk of all) {
    rows.push({ op: 'gap', depth: 0, key: '', path: '', count: 0, line: hunk.new_start });
    let line = hunk.new_start;
    for (const text of hunk.lines ?? []) {
      const op = text[0] === '+' ? 'added' : text[0] === '-' ? 'removed' : 'same';
      rows.push({
        op,
        depth: 0,
        key: '',
        path: '',
        before: text.slice(1),
        after: text.slice(1),
        line: op === 'removed' ? undefined : line,
      });
      if (op !== 'removed') line += 1;
    }
  }
  return rows;
}
