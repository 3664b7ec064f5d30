/** Puts the nodes of a graph into layers: callers left, called right, without physics; the same graph is always drawn the same. */

/**
 * @param {string[]} names @param {{ source: string, target: string }[]} edges
 */
export function layers(names, edges) {
  const known = new Set(names);
  /** @type {Map<string, string[]>} */
  const calls = new Map(names.map((name) => [name, []]));
  for (const { source, target } of edges) if (known.has(source) && known.has(target) && source !== target) calls.get(source)?.push(target);
  for (const list of calls.values()) list.sort();
  // Edges that lead back into what is being walked make a circle; they do not push.
  /** @type {Map<string, number>} */
  const state = new Map();
  /** @type {Set<string>} */
  const back = new Set();
  const sorted = [...names].sort();
  /** @type {string[]} */
  const done = [];
  for (const root of sorted) {
    if (state.has(root)) continue;
    /** @type {[string, number][]} */
    const stack = [[root, 0]];
    state.set(root, 1);
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const next = calls.get(top[0])?.[top[1]];
      if (next === undefined) {
        state.set(top[0], 2);
        done.push(top[0]);
        stack.pop();
        continue;
      }
      top[1] += 1;
      if (state.get(next) === 1) back.add(`${top[0]}\n${next}`);
      else if (!state.has(next)) {
        state.set(next, 1);
        stack.push([next, 0]);
      }
    }
  }
  /** @type {Map<string, number>} */
  const column = new Map(names.map((name) => [name, 0]));
  for (const name of done.reverse()) {
    for (const target of calls.get(name) ?? []) {
      if (back.has(`${name}\n${target}`)) continue;
      column.set(target, Math.max(column.get(target) ?? 0, (column.get(name) ?? 0) + 1));
    }
  }
  // An edge over several layers has a place in each, so that it does not run under what lies between.
  /** @type {Map<string, string[]>} */
  const via = new Map();
  for (const { source, target } of edges) {
    const [from, to] = [column.get(source) ?? 0, column.get(target) ?? 0];
    const bends = [];
    let before = source;
    for (let at = from + 1; at < to; at++) {
      const bend = `${source}\n${target}\n${at}`;
      if (column.has(bend)) continue;
      column.set(bend, at);
      calls.get(before)?.push(bend);
      calls.set(bend, at === to - 1 ? [target] : []);
      bends.push(bend);
      before = bend;
    }
    if (bends.length) via.set(`${source}\n${target}`, bends);
  }
  const all = [...column.keys()].sort();
  /** @type {Map<string, string[]>} */
  const callers = new Map(all.map((name) => [name, []]));
  for (const [name, list] of calls)
    for (const target of list) if ((column.get(name) ?? 0) < (column.get(target) ?? 0)) callers.get(target)?.push(name);
  /** @type {string[][]} */
  const columns = [];
  for (const name of all) {
    const at = column.get(name) ?? 0;
    while (columns.length <= at) columns.push([]);
    columns[at].push(name);
  }
  // Each layer in the order of the middle of those that call it.
  const row = new Map();
  columns.forEach((layer) => layer.forEach((name, i) => row.set(name, i)));
  for (let round = 0; round < 4; round++) {
    columns.forEach((layer, at) => {
      if (at === 0) return;
      const middle = new Map(
        layer.map((name) => {
          const rows = (callers.get(name) ?? []).map((caller) => row.get(caller));
          return [name, rows.length ? rows.reduce((a, b) => a + b, 0) / rows.length : row.get(name)];
        }),
      );
      layer.sort((a, b) => middle.get(a) - middle.get(b) || (a < b ? -1 : 1));
      layer.forEach((name, i) => row.set(name, i));
    });
  }
  const height = Math.max(1, ...columns.map((layer) => layer.length));
  const places = new Map();
  columns.forEach((layer, at) => layer.forEach((name, i) => places.set(name, { column: at, row: i, of: layer.length })));
  return { places, via, width: columns.length, height };
}
