/** The connection to a stream: what it is, its feed, and its state at the cursor. */
import { Latest } from './source.js';

/** The policy passes the address of our worker, and throws at everything else. */
const WORKER = new URL('./feed.js', import.meta.url).href;
/** @type {any} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('rig', {
  createScriptURL: (/** @type {string} */ address) => {
    if (address !== WORKER) throw new TypeError('rig starts no worker but its own');
    return address;
  },
});

/** Tabs share a feed only with the same stream and token; what is told of the token is its hash. @param {string} stream @param {string} token */
async function feedName(stream, token) {
  if (!globalThis.crypto?.subtle) return `rig ${stream} ${Math.random()}`;
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${stream}\n${token}`));
  return `rig ${Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('')}`;
}

export class Live {
  /** @param {import('./store.js').Store} store */
  constructor(store) {
    this.store = store;
    /** @type {any} */
    this.port = null;
    this.session = 0;
    /** @type {string[]} */
    this.early = [];
    this.loaded = false;
    addEventListener('pagehide', () => this.leave());
    addEventListener('pageshow', (event) => {
      if (event.persisted) this.open(store.view.stream);
    });
  }

  leave() {
    this.session += 1;
    this.port?.postMessage({ leave: true });
    this.port?.close?.();
    this.port?.terminate?.();
    this.port = null;
  }

  /** Opens a stream: columns up to its head, and what comes after it. @param {string} name */
  async open(name) {
    this.leave();
    const session = ++this.session;
    const { store } = this;
    const { source } = store;
    source.stream = name;
    store.live = false;
    const about = await source.json(`/v1/streams/${encodeURIComponent(name)}`);
    if (session !== this.session) return;
    store.recording = about.recording === true;
    store.about = about;
    this.loaded = false;
    this.early = [];
    store.complain('');
    const shared = await feedName(name, source.token);
    if (session !== this.session) return;
    const address = policy ? policy.createScriptURL(WORKER) : WORKER;
    try {
      const worker = new SharedWorker(address, { name: shared, type: 'module' });
      this.port = worker.port;
      worker.port.start();
    } catch {
      this.port = new Worker(address, { type: 'module' });
    }
    const opened = new Promise((done, failed) => {
      this.port.onmessage = (/** @type {MessageEvent} */ event) => {
        if (session === this.session) this.hear(event.data, done, failed);
      };
    });
    this.port.postMessage({ join: { stream: name, token: source.token, epoch: about.epoch, head: about.head } });
    await opened;
  }

  /** @param {any} message @param {(value?: any) => void} done @param {(error: any) => void} failed */
  hear(message, done, failed) {
    const { store } = this;
    if (message.at !== undefined) {
      store.epoch = message.epoch;
      const first = Math.max(1, store.about?.first_seq ?? 1);
      store.load(first, message.at).then(() => {
        this.loaded = true;
        store.take(this.early);
        this.early = [];
        done();
      }, failed);
    } else if (message.lines) {
      if (this.loaded) store.take(message.lines);
      else this.early.push(...message.lines);
    } else if (message.back) {
      store.live = true;
      store.complain('');
    } else if (message.away !== undefined) {
      store.live = false;
      store.complain(
        `The hub does not answer; trying again in ${Math.max(1, Math.round(message.away / 1000))} s. What is shown is as it was.`,
      );
    } else if (message.gap) {
      store.gaps.push(message.gap);
      store.touch('gaps');
    } else if (message.reset) {
      // Another log under the same name.
      this.open(store.view.stream).catch(failed);
    } else if (message.refused) {
      store.live = false;
      if (message.refused === 401) store.source.denied(/** @type {any} */ (new Error(message.detail)));
      else store.complain(message.detail || `the hub refused the stream (${message.refused})`);
    }
    store.touch('live');
  }
}

/** While it follows, the state is asked for at most so often, in milliseconds. */
const STATE_EVERY = 500;

/** The state at the cursor: asked for when a pane shows it, one at a time. */
export class StateAt {
  /** @param {import('./store.js').Store} store */
  constructor(store) {
    this.store = store;
    this.latest = new Latest();
    /** @type {any} */
    this.value = null;
    this.error = '';
    this.at = 0;
    this.timer = 0;
    this.stream = '';
  }

  /** Returns the state, at the cursor or on the way there; it is drawn again when a newer one came. */
  get() {
    const { store } = this;
    const key = `${store.view.stream} ${store.epoch ?? ''}`;
    if (this.stream !== key) {
      this.stream = key;
      this.value = null;
      this.latest.cancel();
    }
    const seq = store.cursor;
    if (store.epoch === undefined || (this.value && this.value.seq === seq)) return this.value;
    if (store.head === 0 || seq < store.columns.first - 1) return this.value;
    const since = Date.now() - this.at;
    const hurried = store.follows || store.playing;
    if (this.latest.busy && hurried) return this.value;
    if (hurried && since < STATE_EVERY) {
      if (!this.timer) {
        this.timer = setTimeout(() => {
          this.timer = 0;
          store.touch('state');
        }, STATE_EVERY - since);
      }
      return this.value;
    }
    this.latest.get(
      `${key} ${seq}`,
      (signal) => store.source.exact(`${store.source.of('state')}?at=${seq}`, { signal }),
      (state) => {
        this.at = Date.now();
        this.value = state;
        this.error = '';
        store.touch('state');
      },
      (error) => {
        this.at = Date.now();
        this.error = error.message ?? String(error);
        this.value = { seq, services: {}, edges: {}, environment: {} };
        store.touch('state');
      },
    );
    return this.value;
  }
}
