/**
 * The columns of a stream: of every event its time, latency, type, service, edge and flags, in arrays. One million events
 * take 19 MB. What an event says beyond that is fetched when it is looked at.
 */
import { micros } from './words.js';

export const NO_NAME = 0xffff;
export const NO_LATENCY = 0xffffffff;
export const FAILURE = 1;
export const STDERR = 2;
export const MISSING = 4;
/** The columns of the event are not there yet. */
export const ABSENT = 8;

/** Names with their numbers. */
export class Names {
  constructor() {
    /** @type {string[]} */
    this.all = [];
    /** @type {Map<string, number>} */
    this.numbers = new Map();
  }

  /** Returns the number of a name, a new one if need be. @param {string | null | undefined} name */
  of(name) {
    if (name === null || name === undefined || name === '') return NO_NAME;
    let number = this.numbers.get(name);
    if (number === undefined) {
      if (this.all.length >= NO_NAME) return NO_NAME;
      number = this.all.length;
      this.all.push(name);
      this.numbers.set(name, number);
    }
    return number;
  }

  /** @param {string} name */
  find(name) {
    return this.numbers.get(name) ?? -1;
  }
}

/** @param {string} source @param {string} target */
export const edgeName = (source, target) => `${source}→${target}`;

/** Source and target of an edge. @param {string} edge @returns {[string, string]} */
export function ends(edge) {
  const at = edge.indexOf('→');
  return at < 0 ? [edge, ''] : [edge.slice(0, at), edge.slice(at + 1)];
}

/**
 * Takes an answer of `…/columns` apart.
 * @param {ArrayBuffer} buffer
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  const length = view.getUint32(buffer.byteLength - 4, true);
  const end = buffer.byteLength - 4 - length;
  const names = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, end, length)));
  const n = names.to - names.from + 1;
  if (n < 0 || 19 * n !== end) throw new Error('the columns have not the length that they say');
  return {
    ...names,
    n,
    time: new Float64Array(buffer, 0, n),
    latency: new Uint32Array(buffer, 8 * n, n),
    type: new Uint16Array(buffer, 12 * n, n),
    service: new Uint16Array(buffer, 14 * n, n),
    edge: new Uint16Array(buffer, 16 * n, n),
    flags: new Uint8Array(buffer, 18 * n, n),
  };
}

const HTTP = new Set(['request.completed', 'request.failed']);

/**
 * What the columns have of an event, from its line; as the hub's index has it, of both dialects.
 * @param {any} event
 */
export function classify(event) {
  const type = String(event.type ?? '');
  const nested = event.request ?? event.grpc_call ?? event.connection ?? event.kafka_request;
  const call = nested && typeof nested === 'object' && !Array.isArray(nested) ? nested : event;
  const isCall = HTTP.has(type) || type === 'grpc.call.completed' || type === 'kafka.request.completed' || type.startsWith('connection.');
  let flags = 0;
  if (HTTP.has(type)) {
    const status = call.status ?? call.status_code;
    if (type === 'request.failed' || typeof status !== 'number' || status >= 500) flags |= FAILURE;
    if (typeof status === 'number') flags |= (Math.floor(status / 100) & 7) << 4;
  } else if (type === 'grpc.call.completed') {
    if (call.grpc_status !== 'OK') flags |= FAILURE;
  } else if (type === 'service.log') {
    if ((event.log?.stream ?? event.stream) === 'stderr') flags |= STDERR;
  } else if (type.endsWith('.failed') || (type === 'test.note' && event.error)) {
    flags |= FAILURE;
  }
  const ms = isCall && !type.startsWith('connection.') ? Number(call.latency_ms) : NaN;
  return {
    time: micros(event.ts ?? event.timestamp),
    type,
    service: typeof event.service === 'string' ? event.service : null,
    edge: isCall && call.source && call.target ? edgeName(String(call.source), String(call.target)) : null,
    latency: ms >= 0 ? Math.min(Math.floor(ms * 1000), NO_LATENCY - 1) : NO_LATENCY,
    flags,
  };
}

export class Columns {
  /** @param {number} first the seq of the first event */
  constructor(first = 1) {
    this.first = first;
    this.n = 0;
    this.room = 0;
    /** How many events are there. */
    this.loaded = 0;
    this.types = new Names();
    this.services = new Names();
    this.edges = new Names();
    this.time = new Float64Array(0);
    this.latency = new Uint32Array(0);
    this.type = new Uint16Array(0);
    this.service = new Uint16Array(0);
    this.edge = new Uint16Array(0);
    this.flags = new Uint8Array(0);
    /** Grows whenever something before the end was filled in. */
    this.version = 0;
  }

  /** The seq of the last event. */
  get last() {
    return this.first + this.n - 1;
  }

  /** Makes room up to a seq; what is not there yet says so. @param {number} seq */
  reach(seq) {
    const n = seq - this.first + 1;
    if (n <= this.n) return;
    if (n > this.room) {
      const room = Math.max(n, Math.min(2 * this.room, this.room + 1_000_000), 1024);
      for (const name of /** @type {const} */ (['time', 'latency', 'type', 'service', 'edge', 'flags'])) {
        const old = this[name];
        const grown = new /** @type {any} */ (old.constructor)(room);
        grown.set(old);
        /** @type {any} */ (this)[name] = grown;
      }
      this.room = room;
    }
    this.flags.fill(ABSENT, this.n, n);
    this.type.fill(NO_NAME, this.n, n);
    this.service.fill(NO_NAME, this.n, n);
    this.edge.fill(NO_NAME, this.n, n);
    this.latency.fill(NO_LATENCY, this.n, n);
    this.n = n;
  }

  /** Takes an answer of `…/columns`. @param {ReturnType<typeof decode>} block */
  put(block) {
    if (block.n === 0) return;
    this.reach(block.to);
    const at = block.from - this.first;
    /** @param {Names} names @param {string[]} theirs */
    const numbers = (names, theirs) => Uint16Array.from(theirs, (name) => names.of(name));
    const types = numbers(this.types, block.types);
    const services = numbers(this.services, block.services);
    const edges = numbers(
      this.edges,
      block.edges.map((/** @type {[string, string]} */ e) => edgeName(e[0], e[1])),
    );
    /** @param {Uint16Array} to @param {Uint16Array} from @param {Uint16Array} map */
    const copy = (to, from, map) => {
      for (let i = 0; i < block.n; i++) to[at + i] = from[i] === NO_NAME ? NO_NAME : map[from[i]];
    };
    copy(this.type, block.type, types);
    copy(this.service, block.service, services);
    copy(this.edge, block.edge, edges);
    for (let i = at; i < at + block.n; i++) if (this.flags[i] & ABSENT) this.loaded += 1;
    this.time.set(block.time, at);
    this.latency.set(block.latency, at);
    this.flags.set(block.flags, at);
    this.version += 1;
  }

  /** Takes the event that comes next, or one that was absent. @param {any} event */
  add(event) {
    const at = event.seq - this.first;
    if (at < 0 || (at < this.n && !(this.flags[at] & ABSENT))) return false;
    const isNext = at === this.n;
    this.reach(event.seq);
    const row = classify(event);
    this.time[at] = row.time;
    this.latency[at] = row.latency;
    this.type[at] = this.types.of(row.type);
    this.service[at] = this.services.of(row.service);
    this.edge[at] = this.edges.of(row.edge);
    this.flags[at] = row.flags;
    this.loaded += 1;
    if (!isNext) this.version += 1;
    return true;
  }

  /** Whether the columns of a seq are there. @param {number} seq */
  has(seq) {
    const at = seq - this.first;
    return at >= 0 && at < this.n && !(this.flags[at] & ABSENT);
  }

  /** @param {number} seq */
  typeOf(seq) {
    return this.types.all[this.type[seq - this.first]] ?? '';
  }

  /** @param {number} seq */
  serviceOf(seq) {
    return this.services.all[this.service[seq - this.first]] ?? '';
  }

  /** @param {number} seq */
  edgeOf(seq) {
    return this.edges.all[this.edge[seq - this.first]] ?? '';
  }

  /** @param {number} seq */
  timeOf(seq) {
    return this.time[seq - this.first] ?? NaN;
  }

  /** The last seq at or before a time. @param {number} us */
  seqAt(us) {
    let low = 0;
    let high = this.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.time[middle] <= us) low = middle + 1;
      else high = middle;
    }
    return Math.max(this.first, this.first + low - 1);
  }
}

/**
 * A filter, as the player writes it: `type:diff.*,drift.* service:api failed` and a text.
 * @param {string} q
 */
export function parseFilter(q) {
  /** @type {{ types: string[], service: string, failed: boolean, text: string }} */
  const filter = { types: [], service: '', failed: false, text: '' };
  const words = [];
  for (const word of q.trim().split(/\s+/)) {
    if (word.startsWith('type:')) filter.types.push(...word.slice(5).split(',').filter(Boolean));
    else if (word.startsWith('service:')) filter.service = word.slice(8);
    else if (word === 'failed') filter.failed = true;
    else if (word) words.push(word);
  }
  filter.text = words.join(' ');
  return filter;
}

/** @param {string[]} patterns @param {string} name */
export function takesType(patterns, name) {
  return patterns.length === 0 || patterns.some((p) => (p.endsWith('*') ? name.startsWith(p.slice(0, -1)) : p === name));
}

/**
 * Makes a function that says whether the filter takes the event at a place. It is to be made anew when there are new names.
 * @param {Columns} columns @param {{ types?: string[], service?: string, failed?: boolean, edge?: string, flag?: number }} filter
 */
export function matcher(columns, filter) {
  const types = filter.types?.length ? columns.types.all.map((name) => takesType(filter.types ?? [], name)) : null;
  const service = filter.service ? columns.services.find(filter.service) : null;
  const touched = filter.service ? columns.edges.all.map((name) => ends(name).includes(filter.service ?? '')) : null;
  const edge = filter.edge ? columns.edges.find(filter.edge) : null;
  return (/** @type {number} */ at) => {
    const flags = columns.flags[at];
    if (flags & (ABSENT | MISSING)) return false;
    if (types && !types[columns.type[at]]) return false;
    if (filter.failed && !(flags & FAILURE)) return false;
    if (filter.flag && !(flags & filter.flag)) return false;
    if (edge !== null && columns.edge[at] !== edge) return false;
    if (service !== null && columns.service[at] !== service && !touched?.[columns.edge[at]]) return false;
    return true;
  };
}

/** The places of the events that a filter takes, within a stretch; it grows with the columns. */
export class Rows {
  /**
   * @param {Columns} columns
   * @param {{ types?: string[], service?: string, failed?: boolean, edge?: string, text?: string, flag?: number }} filter
   * @param {[number, number] | null} zoom in seqs
   * @param {Set<number> | null} [found] the seqs that have the text
   */
  constructor(columns, filter, zoom, found = null) {
    this.columns = columns;
    this.filter = filter;
    this.zoom = zoom;
    this.found = found;
    this.all = !filter.types?.length && !filter.service && !filter.failed && !filter.edge && !filter.text;
    /** @type {Int32Array} */
    this.places = new Int32Array(0);
    this.filled = 0;
    this.next = 0;
    this.version = -1;
    this.grow();
  }

  /** Takes what has come since. */
  grow() {
    const { columns, zoom } = this;
    const begin = zoom ? Math.max(0, zoom[0] - columns.first) : 0;
    const end = zoom ? Math.min(columns.n, zoom[1] - columns.first + 1) : columns.n;
    if (this.all) {
      this.begin = begin;
      this.filled = Math.max(0, end - begin);
      return;
    }
    if (this.version !== columns.version) {
      this.version = columns.version;
      this.filled = 0;
      this.next = begin;
    }
    const takes = matcher(columns, this.filter);
    for (let at = Math.max(begin, this.next); at < end; at++) {
      if (!takes(at) || (this.filter.text && !this.found?.has(at + columns.first))) continue;
      if (this.filled === this.places.length) {
        const grown = new Int32Array(Math.max(256, 2 * this.filled));
        grown.set(this.places);
        this.places = grown;
      }
      this.places[this.filled++] = at;
    }
    this.next = Math.max(this.next, end);
  }

  get count() {
    return this.filled;
  }

  /** The seq of a row. @param {number} row */
  seq(row) {
    return this.columns.first + (this.all ? (this.begin ?? 0) + row : this.places[row]);
  }

  /** The row at or before a seq; -1 if all are after it. @param {number} seq */
  row(seq) {
    const place = seq - this.columns.first;
    if (this.all) return Math.min(this.filled - 1, place - (this.begin ?? 0));
    let low = 0;
    let high = this.filled;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.places[middle] <= place) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** Whether events of a type are drifts or changes of a config. @param {string} name */
export function kindOfType(name) {
  if (name.startsWith('drift.')) return 'drift';
  return name === 'diff.computed' || name === 'snapshot.captured' ? 'change' : '';
}
