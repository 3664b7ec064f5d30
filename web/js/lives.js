/** The lives of services, read from the columns: failures, steps and changes of each, in their order. It grows with them. */
import { ABSENT, ends, FAILURE, kindOfType, NO_NAME } from './columns.js';

/** @typedef {{ failures: number[], steps: [number, string][], changes: number[], events: number, told: number }} Life `told`: the last event that its history has */

const STEPS = new Set(['service.starting', 'service.healthy', 'service.ready', 'service.failed', 'service.stopping', 'service.stopped']);
/** Most services that are listed by name. */
export const MOST = 10_000;

export class Lives {
  constructor() {
    this.columns = /** @type {any} */ (null);
    this.version = -1;
    this.upto = 0;
    /** @type {Map<string, Life>} */
    this.all = new Map();
    this.unlisted = 0;
  }

  /** Takes what came. @param {import('./columns.js').Columns} columns */
  grow(columns) {
    if (this.columns !== columns || this.version !== columns.version) {
      Object.assign(this, { columns, version: columns.version, upto: 0, unlisted: 0 });
      this.all = new Map();
    }
    const { types, services, edges } = columns;
    const kinds = types.all.map((name) => (STEPS.has(name) ? name.slice(8) : kindOfType(name)));
    const tells = types.all.map((name) => /^(snapshot|diff|drift|baseline|collect)\./.test(name));
    const targets = edges.all.map(ends);
    for (let at = this.upto; at < columns.n; at++) {
      const flags = columns.flags[at];
      if (flags & ABSENT) continue;
      const seq = columns.first + at;
      const failed = (flags & FAILURE) !== 0;
      if (columns.edge[at] !== NO_NAME) {
        const [source, target] = targets[columns.edge[at]];
        const life = this.of(target);
        this.of(source);
        if (failed) life?.failures.push(seq);
      }
      if (columns.service[at] === NO_NAME) continue;
      const life = this.of(services.all[columns.service[at]]);
      if (!life) continue;
      life.events += 1;
      if (tells[columns.type[at]]) life.told = seq;
      const kind = kinds[columns.type[at]];
      if (failed) life.failures.push(seq);
      if (kind === 'change') life.changes.push(seq);
      else if (kind && kind !== 'drift') life.steps.push([seq, kind]);
    }
    this.upto = columns.n;
  }

  /** @param {string} name @returns {Life | null} */
  of(name) {
    let life = this.all.get(name);
    if (!life) {
      if (this.all.size >= MOST) {
        this.unlisted += 1;
        return null;
      }
      life = { failures: [], steps: [], changes: [], events: 0, told: 0 };
      this.all.set(name, life);
    }
    return life;
  }
}

/** How many of the seqs are at or before one. @param {number[]} seqs @param {number} seq */
export function upto(seqs, seq) {
  let low = 0;
  let high = seqs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seqs[middle] <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The step that a service is in, and how long its last start took. @param {Life} life @param {number} seq @param {(seq: number) => number} time */
export function step(life, seq, time) {
  let now = '';
  let begun = NaN;
  let took = NaN;
  for (const [at, kind] of life.steps) {
    if (at > seq) break;
    now = kind;
    if (kind === 'starting') {
      begun = time(at);
      took = NaN;
    } else if ((kind === 'ready' || kind === 'healthy') && Number.isNaN(took)) {
      took = time(at) - begun;
    }
  }
  return { now, took };
}
