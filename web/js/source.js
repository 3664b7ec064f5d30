/** The hub's routes: requests with the token, one in flight a pane, and pages of lines. */

/** An answer that is not what was asked for. */
export class Problem extends Error {
  /** @param {number} status @param {any} body @param {number} [after] seconds */
  constructor(status, body, after) {
    super(body?.detail || `the hub answered ${status}`);
    this.status = status;
    this.code = String(body?.code ?? '');
    this.after = after ?? 0;
    this.body = body;
  }
}

const PAGE = 128;
const PAGES_KEPT = 60;
const RECENT = 4000;
/** Most requests for lines at a time. The feed has one connection of the six. */
const AT_ONCE = 2;

export class Source {
  constructor() {
    this.token = '';
    try {
      this.token = sessionStorage.getItem('rig.token') ?? '';
    } catch {
      // Storage may be switched off; then the token lasts as long as the page.
    }
    this.stream = '';
    /** Called when the hub wants a token. @type {(problem: Problem) => void} */
    this.denied = () => {};
    /** Called when lines came. */
    this.arrived = () => {};
    /** @type {Map<number, Map<number, any>>} */
    this.pages = new Map();
    /** @type {Map<number, any>} */
    this.recent = new Map();
    /** @type {Set<number>} */
    this.asked = new Set();
    /** @type {number[]} */
    this.waiting = [];
    this.flying = new AbortController();
    this.busy = 0;
    this.first = 1;
    this.head = 0;
  }

  /** Begins anew, with another stream or another log. */
  reset() {
    this.pages.clear();
    this.recent.clear();
    this.asked.clear();
    this.waiting = [];
    this.flying.abort();
    this.flying = new AbortController();
    this.head = 0;
  }

  /** @param {string} token */
  signIn(token) {
    this.token = token;
    try {
      if (token) sessionStorage.setItem('rig.token', token);
      else sessionStorage.removeItem('rig.token');
    } catch {
      // See above.
    }
  }

  /** Asks the other tabs of this origin for the token, for a moment. */
  async fromTabs() {
    if (typeof BroadcastChannel !== 'function') return false;
    const channel = new BroadcastChannel('rig');
    const token = await new Promise((done) => {
      channel.onmessage = (event) => {
        if (typeof event.data?.token === 'string') done(event.data.token);
      };
      channel.postMessage({ asks: true });
      setTimeout(() => done(''), 250);
    });
    channel.close();
    if (token) this.signIn(token);
    return token !== '';
  }

  /** Answers tabs that ask for the token. */
  shareWithTabs() {
    if (typeof BroadcastChannel !== 'function') return;
    const channel = new BroadcastChannel('rig');
    channel.onmessage = (event) => {
      if (event.data?.asks && this.token) channel.postMessage({ token: this.token });
    };
  }

  /** Redeems the code of a login for a token. @param {string} code */
  async logIn(code) {
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch('/v1/logins/redeem', {
      method: 'POST',
      headers,
      body: JSON.stringify({ code }),
      cache: 'no-store',
      credentials: 'omit',
    });
    const said = await response.json().catch(() => null);
    if (!response.ok) throw new Problem(response.status, said);
    this.signIn(said.token);
  }

  /** @param {string} path */
  of(path) {
    return `/v1/streams/${encodeURIComponent(this.stream)}/${path}`;
  }

  /**
   * One request. A 429 or 503 with a time is waited for once.
   * @param {string} path @param {{ method?: string, body?: any, signal?: AbortSignal, headers?: Record<string, string> }} [options]
   * @returns {Promise<Response>}
   */
  async ask(path, options = {}) {
    /** @type {Record<string, string>} */
    const headers = { ...options.headers };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    for (let tried = 0; ; tried++) {
      const { method = 'GET', body, signal } = options;
      const response = await fetch(path, { method, body, signal, headers, cache: 'no-store', credentials: 'omit' });
      if (response.ok) return response;
      const said = await response.json().catch(() => null);
      const problem = new Problem(response.status, said, Number(response.headers.get('retry-after')));
      if ((problem.status === 429 || problem.status === 503) && problem.after > 0 && problem.after <= 5 && tried === 0) {
        await new Promise((done) => setTimeout(done, problem.after * 1000));
        continue;
      }
      if (problem.status === 401) this.denied(problem);
      throw problem;
    }
  }

  /** @param {string} path @param {{ signal?: AbortSignal }} [options] */
  async json(path, options) {
    return (await this.ask(path, options)).json();
  }

  /** JSON in which numbers are as they were written, for what shows values. @param {string} path @param {{ signal?: AbortSignal }} [options] */
  async exact(path, options) {
    return exactly(await (await this.ask(path, options)).text());
  }

  /** Returns the event of a seq, or null; what is not there is fetched. @param {number} seq */
  event(seq) {
    const live = this.recent.get(seq);
    if (live) return live;
    const page = Math.floor(seq / PAGE);
    const known = this.pages.get(page);
    if (known) {
      this.pages.delete(page);
      this.pages.set(page, known);
      const event = known.get(seq);
      if (event !== undefined) return event;
    }
    if (!this.asked.has(page)) {
      this.asked.add(page);
      this.waiting.push(page);
      this.fetchPages();
    }
    return null;
  }

  /** Forgets what waits: other rows are looked at now. */
  forget() {
    for (const page of this.waiting) this.asked.delete(page);
    this.waiting = [];
  }

  /** Keeps an event that just came. @param {any} event */
  keep(event) {
    this.recent.set(event.seq, event);
    if (this.recent.size > RECENT) {
      const oldest = this.recent.keys().next().value;
      if (oldest !== undefined) this.recent.delete(oldest);
    }
  }

  fetchPages() {
    while (this.busy < AT_ONCE && this.waiting.length > 0) {
      const page = /** @type {number} */ (this.waiting.pop());
      this.busy += 1;
      this.fetchPage(page).finally(() => {
        this.busy -= 1;
        this.fetchPages();
      });
    }
  }

  /** @param {number} page */
  async fetchPage(page) {
    const { signal } = this.flying;
    try {
      const from = Math.max(page * PAGE, this.first);
      const to = Math.min(page * PAGE + PAGE - 1, this.head);
      if (to < from) return;
      const response = await this.ask(`${this.of('events')}?from=${from}&to=${to}`, { signal });
      const text = await response.text();
      if (signal.aborted) return;
      const events = new Map();
      for (const line of text.split('\n')) {
        if (line === '') continue;
        const event = JSON.parse(line);
        event[LINE] = line;
        events.set(event.seq, event);
      }
      // Of a log of rigd some may be missing.
      for (let seq = from; seq <= to; seq++) if (!events.has(seq)) events.set(seq, { seq, type: '', missing: true, [LINE]: '' });
      this.pages.set(page, events);
      for (const oldest of this.pages.keys()) {
        if (this.pages.size <= PAGES_KEPT) break;
        this.pages.delete(oldest);
      }
      this.arrived();
    } catch (error) {
      if (!signal.aborted && !(error instanceof Problem && error.status === 401)) console.warn('lines did not come:', String(error));
    } finally {
      this.asked.delete(page);
    }
  }

  /** Returns the event of a seq once it is there. @param {number} seq @param {AbortSignal} [signal] */
  async whole(seq, signal) {
    const known = this.recent.get(seq) ?? this.pages.get(Math.floor(seq / PAGE))?.get(seq);
    if (known) return known;
    const text = await (await this.ask(`${this.of('events')}?from=${seq}&to=${seq}`, { signal })).text();
    const line = text.trim();
    if (!line) return null;
    const event = JSON.parse(line);
    event[LINE] = line;
    return event;
  }
}

/** Where an event keeps its line. */
export const LINE = Symbol('line');

/** A number as it was written. */
export class Exact {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }

  toJSON() {
    const raw = /** @type {any} */ (JSON).rawJSON;
    return raw ? raw(this.text) : Number(this.text);
  }
}

/** Reads JSON with its numbers as they were written. @param {string} text */
export function exactly(text) {
  return JSON.parse(
    text,
    /** @type {any} */ (
      (/** @type {string} */ _, /** @type {any} */ value, /** @type {any} */ context) => {
        if (typeof value === 'number' && context?.source !== undefined && String(value) !== context.source)
          return new Exact(context.source);
        return value;
      }
    ),
  );
}

/** What a pane fetches: one in flight, and a newer one ends it. */
export class Latest {
  constructor() {
    this.key = '';
    /** @type {AbortController | null} */
    this.flying = null;
  }

  /**
   * Runs `fetch` unless the same is there or on its way; `then` gets what came, unless something newer was asked for.
   * @template T
   * @param {string} key @param {(signal: AbortSignal) => Promise<T>} fetch @param {(value: T) => void} then
   * @param {(error: any) => void} [failed]
   */
  get(key, fetch, then, failed) {
    if (key === this.key) return;
    this.cancel();
    this.key = key;
    const flying = new AbortController();
    this.flying = flying;
    fetch(flying.signal).then(
      (value) => {
        if (this.flying === flying) {
          this.flying = null;
          then(value);
        }
      },
      (error) => {
        if (this.flying !== flying) return;
        this.flying = null;
        // Not at once again.
        setTimeout(() => {
          if (this.key === key && !this.flying) this.key = '';
        }, 2000);
        if (failed) failed(error);
      },
    );
  }

  get busy() {
    return this.flying !== null;
  }

  cancel() {
    this.flying?.abort();
    this.flying = null;
    this.key = '';
  }
}
