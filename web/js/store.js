/**
 * What the page stands on: the columns, the cursor, what is selected. Whatever changes is drawn once a frame, and every pane
 * sees the same moment.
 */
import { ABSENT, Columns, decode, FAILURE, kindOfType, MISSING, NO_NAME, parseFilter, Rows } from './columns.js';
import { LINE, Source } from './source.js';
import { nothing, write } from './url.js';

/** Events of one answer of `…/columns`. */
const BLOCK = 250_000;
/** What a page at the end of a long stream begins with. */
const TAIL = 4096;
/** The address is changed at most so often, in milliseconds. */
const ADDRESS_EVERY = 250;

export class Store {
  constructor() {
    this.source = new Source();
    this.columns = new Columns(1);
    /** @type {import('./url.js').View} */
    this.view = nothing();
    /** @type {any} */
    this.who = null;
    /** @type {any[]} */
    this.streams = [];
    this.recording = false;
    this.live = false;
    /** What is wrong, in words. */
    this.trouble = '';
    this.gaps = /** @type {any[]} */ ([]);
    /** What the hub says of the stream. @type {any} */
    this.about = null;
    /** @type {string | undefined} */
    this.epoch = undefined;
    /** @type {Set<(changed: Set<string>) => void>} */
    this.listeners = new Set();
    /** @type {Set<string>} */
    this.changed = new Set();
    this.framed = false;
    this.filter = parseFilter('');
    this.speed = 1;
    this.playing = false;
    this.noIdle = false;
    this.version = 0;
    /** Text search: what was found, and how far it has come. @type {{ text: string, seqs: Set<number>, upto: number } | null} */
    this.search = null;
    /** @type {Rows} */
    this.rows = new Rows(this.columns, {}, null);
    this.loading = true;
    this.addressTimer = 0;
    this.addressAt = 0;
    this.source.arrived = () => this.touch('lines');
  }

  /** The last event. */
  get head() {
    return this.columns.last;
  }

  /** The seq that every pane shows. */
  get cursor() {
    const { seq } = this.view;
    const head = Math.max(this.head, 0);
    return seq === null ? head : Math.min(Math.max(seq, this.columns.first - 1, 0), head);
  }

  get follows() {
    return this.view.seq === null;
  }

  /** Whether columns are still to come. */
  missing() {
    return this.loading;
  }

  /** @param {string} scope */
  may(scope) {
    return !this.recording && !!this.who?.scopes?.includes(scope);
  }

  /** @param {(changed: Set<string>) => void} listener */
  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Says that something changed; it is drawn in the next frame. @param {...string} what */
  touch(...what) {
    for (const one of what) this.changed.add(one);
    if (this.framed) return;
    this.framed = true;
    requestAnimationFrame(() => {
      this.framed = false;
      const changed = this.changed;
      this.changed = new Set();
      if (changed.has('events') || changed.has('columns')) this.rows.grow();
      for (const listener of this.listeners) listener(changed);
    });
  }

  /**
   * Changes what is seen. A jump, a page and a selection are a step of the browser's history; moving the cursor is none.
   * @param {Partial<import('./url.js').View>} change @param {{ push?: boolean, silent?: boolean }} [how]
   */
  see(change, how = {}) {
    const before = this.view;
    this.view = { ...before, ...change };
    const what = Object.keys(change).filter((key) => /** @type {any} */ (before)[key] !== /** @type {any} */ (this.view)[key]);
    if (what.length === 0) return;
    if (what.includes('q')) this.filter = parseFilter(this.view.q);
    if (what.includes('q') || what.includes('z')) this.refilter();
    if (!how.silent) this.address(how.push ?? false);
    this.touch('view', ...what);
  }

  /** @param {boolean} push */
  address(push) {
    const put = () => {
      this.addressTimer = 0;
      this.addressAt = Date.now();
      history.replaceState(null, '', write(this.view));
    };
    if (push) {
      clearTimeout(this.addressTimer);
      this.addressTimer = 0;
      history.pushState(null, '', write(this.view));
      return;
    }
    if (this.addressTimer) return;
    this.addressTimer = setTimeout(put, Math.max(0, this.addressAt + ADDRESS_EVERY - Date.now()));
  }

  /** Puts the cursor on a seq; null follows. @param {number | null} seq @param {boolean} [jump] */
  go(seq, jump = false) {
    if (seq !== null) seq = Math.min(Math.max(Math.round(seq), this.lowest), this.highest);
    this.see({ seq }, { push: jump });
  }

  get lowest() {
    return this.view.z ? Math.max(this.view.z[0], this.columns.first) : this.columns.first;
  }

  get highest() {
    return this.view.z ? Math.min(this.view.z[1], this.head) : Math.max(this.head, this.columns.first);
  }

  /** Makes the rows of the filter anew. */
  refilter() {
    const { filter, columns, view } = this;
    if (filter.text && this.search?.text !== filter.text) this.find(filter.text);
    if (!filter.text) this.search = null;
    this.rows = new Rows(columns, filter, view.z, this.search?.seqs ?? null);
    this.version += 1;
  }

  /** The rows of a pane: those of the page's filter that it narrows further. @param {any} more */
  narrowed(more) {
    const { filter } = this;
    return new Rows(this.columns, { ...filter, ...more }, this.view.z, this.search?.seqs ?? null);
  }

  /** Looks for a text behind the screen. @param {string} text */
  async find(text) {
    const search = { text, seqs: /** @type {Set<number>} */ (new Set()), upto: 0 };
    this.search = search;
    let from = this.columns.first;
    while (this.search === search) {
      if (from > this.head) return;
      try {
        const query = `q=${encodeURIComponent(text)}&from=${from}&to=${this.head}`;
        const found = await this.source.json(`${this.source.of('find')}?${query}`);
        if (this.search !== search) return;
        for (const seq of found.seqs) search.seqs.add(seq);
        search.upto = (found.next ?? this.head + 1) - 1;
        from = search.upto + 1;
        this.refilter();
        this.touch('view', 'search');
        if (!found.next) return;
      } catch (error) {
        if (this.search === search) this.complain(String(/** @type {any} */ (error).message ?? error));
        return;
      }
    }
  }

  /** @param {string} trouble */
  complain(trouble) {
    if (this.trouble === trouble) return;
    this.trouble = trouble;
    this.touch('trouble');
  }

  /**
   * Begins with a stream: its columns up to `at`, the end first.
   * @param {number} first @param {number} at
   */
  async load(first, at) {
    const columns = new Columns(Math.max(first, 1));
    this.columns = columns;
    this.loading = true;
    this.gaps = [];
    this.search = null;
    this.source.reset();
    this.source.first = columns.first;
    this.source.head = at;
    if (at >= columns.first) columns.reach(at);
    this.refilter();
    this.touch('columns', 'events', 'view');
    const near = this.view.seq ?? at;
    const blocks = [];
    // What is looked at first, then the rest from the beginning.
    const begin = Math.max(columns.first, Math.min(near - TAIL / 2, at - TAIL + 1));
    if (at >= columns.first) blocks.push([begin, Math.min(at, begin + TAIL - 1)]);
    for (let from = columns.first; from <= at; from += BLOCK) blocks.push([from, Math.min(at, from + BLOCK - 1)]);
    if (columns.n <= TAIL) blocks.length = Math.min(blocks.length, 1);
    for (const [from, to] of blocks) {
      const response = await this.source.ask(`${this.source.of('columns')}?from=${from}&to=${to}`);
      const block = decode(await response.arrayBuffer());
      if (this.columns !== columns) return;
      if (this.view.epoch && block.epoch !== this.view.epoch)
        this.complain(
          'This link is of another log under the same name: the stream was made anew since. What its numbers stood for is gone.',
        );
      columns.put(block);
      this.touch('columns', 'events');
    }
    this.loading = false;
    this.touch('columns', 'events');
  }

  /** Takes lines that came. @param {string[]} lines */
  take(lines) {
    const { columns, source } = this;
    for (const line of lines) {
      if (line === '') continue;
      let event;
      try {
        event = JSON.parse(line);
      } catch {
        continue;
      }
      if (event.seq > columns.last + 1 && columns.n > 0) {
        // Missing in a log of rigd.
        const from = columns.n;
        columns.reach(event.seq - 1);
        for (let at = from; at < columns.n; at++) columns.flags[at] = MISSING;
      }
      if (columns.add(event)) source.keep(Object.assign(event, { [LINE]: line }));
    }
    source.head = Math.max(source.head, columns.last);
    if (this.search) this.research();
    this.touch('events');
  }

  /** Looks for the text in what came since. */
  research() {
    const { search } = this;
    if (!search || search.upto + 2000 > this.head) {
      // Little is looked at here: it is in the page.
      if (!search || search.upto === 0) return;
      const text = search.text.toLowerCase();
      for (let seq = search.upto + 1; seq <= this.head; seq++) {
        const line = this.source.recent.get(seq)?.[LINE];
        if (line?.toLowerCase().includes(text)) search.seqs.add(seq);
      }
      search.upto = this.head;
    }
  }

  /** The next place, from a seq on in a direction, that `takes` takes; 0 if there is none. @param {number} seq @param {1 | -1} step @param {(at: number) => boolean} takes */
  next(seq, step, takes) {
    const { columns } = this;
    const low = this.lowest - columns.first;
    const high = this.highest - columns.first;
    for (let at = seq - columns.first + step; at >= low && at <= high; at += step) {
      if (!(columns.flags[at] & (ABSENT | MISSING)) && takes(at)) return at + columns.first;
    }
    return 0;
  }

  /** Whether the event at a place is a failure, a drift or a change of a config. @param {'failure' | 'drift' | 'change'} kind */
  kind(kind) {
    const { columns } = this;
    if (kind === 'failure') return (/** @type {number} */ at) => (columns.flags[at] & FAILURE) !== 0;
    const wanted = columns.types.all.map((name) => kindOfType(name) === kind);
    return (/** @type {number} */ at) => columns.type[at] !== NO_NAME && wanted[columns.type[at]] === true;
  }
}
