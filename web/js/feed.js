/**
 * The feed: reads the live stream by `fetch` and passes its lines on. It runs as a shared worker, one for all tabs of the same
 * hub, stream and token; where there are no shared workers, as a worker of the page.
 */

const SLOWEST = 8000;
const FIRST = 250;
/** Lines are passed on at most so often, in milliseconds. */
const EVERY = 33;

/** Splits server-sent events; `frame` gets each with its id, event and data. */
export class Frames {
  /** @param {(frame: { id: string, event: string, data: string }) => void} frame */
  constructor(frame) {
    this.frame = frame;
    this.rest = '';
  }

  /** @param {string} text */
  push(text) {
    const all = this.rest + text;
    let at = 0;
    for (;;) {
      const end = all.indexOf('\n\n', at);
      if (end < 0) break;
      this.one(all.slice(at, end));
      at = end + 2;
    }
    this.rest = all.slice(at);
  }

  /** @param {string} block */
  one(block) {
    const frame = { id: '', event: '', data: '' };
    let has = false;
    for (const line of block.split('\n')) {
      if (line.startsWith('data: ')) {
        frame.data = has ? `${frame.data}\n${line.slice(6)}` : line.slice(6);
        has = true;
      } else if (line.startsWith('id: ')) frame.id = line.slice(4);
      else if (line.startsWith('event: ')) frame.event = line.slice(7);
    }
    if (has || frame.event) this.frame(frame);
  }
}

/** The stream, for every port that joined. */
export class Feed {
  constructor() {
    /** @type {Set<{ postMessage: (message: any) => void }>} */
    this.ports = new Set();
    /** @type {AbortController | null} */
    this.reading = null;
    this.stream = '';
    this.token = '';
    this.epoch = '';
    this.seq = 0;
    this.live = false;
    /** @type {string[]} */
    this.lines = [];
    /** @type {any} */
    this.timer = null;
    this.sent = 0;
  }

  /** @param {any} port @param {any} message */
  hear(port, message) {
    if (message.join) {
      this.ports.add(port);
      this.stream = message.join.stream;
      this.token = message.join.token;
      if (this.reading) {
        this.flush();
        port.postMessage({ at: this.seq, epoch: this.epoch });
        if (this.live) port.postMessage({ back: true });
      } else {
        this.epoch = message.join.epoch;
        this.seq = message.join.head;
        port.postMessage({ at: this.seq, epoch: this.epoch });
        this.read();
      }
    } else if (message.leave) {
      this.ports.delete(port);
      if (this.ports.size === 0) this.stop();
    }
  }

  stop() {
    this.reading?.abort();
    this.reading = null;
    this.live = false;
    this.lines = [];
  }

  /** @param {any} message */
  tell(message) {
    for (const port of this.ports) port.postMessage(message);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.lines.length === 0) return;
    const lines = this.lines;
    this.lines = [];
    this.sent = Date.now();
    this.tell({ lines, head: this.seq });
  }

  async read() {
    const reading = new AbortController();
    this.reading = reading;
    let wait = FIRST;
    while (this.reading === reading) {
      let after = 0;
      try {
        const failed = await this.connect(reading.signal, () => {
          wait = FIRST;
        });
        if (failed) {
          this.tell(failed);
          // Without a token, or without the stream, trying again is of no use before something changes.
          if (failed.refused === 401 || failed.refused === 403 || failed.refused === 404) {
            this.reading = null;
            return;
          }
          after = failed.after * 1000;
        }
      } catch {
        // The connection broke, or the hub is not there.
      }
      if (this.reading !== reading) return;
      this.flush();
      this.live = false;
      const pause = after || wait * (0.75 + Math.random() / 2);
      this.tell({ away: Math.round(pause) });
      await new Promise((done) => setTimeout(done, pause));
      wait = Math.min(2 * wait, SLOWEST);
    }
  }

  /** Reads until the connection ends. @param {AbortSignal} signal @param {() => void} open */
  async connect(signal, open) {
    /** @type {Record<string, string>} */
    const headers = { Accept: 'text/event-stream' };
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    headers['Last-Event-ID'] = `${this.epoch}:${this.seq}`;
    const response = await fetch(`/v1/streams/${encodeURIComponent(this.stream)}/events`, {
      headers,
      signal,
      cache: 'no-store',
      credentials: 'omit',
    });
    if (!response.ok || !response.body) {
      const body = await response.json().catch(() => null);
      return { refused: response.status, detail: body?.detail ?? '', after: Number(response.headers.get('retry-after')) || 0 };
    }
    open();
    this.live = true;
    this.tell({ back: true });
    const frames = new Frames((frame) => this.take(frame));
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return null;
      frames.push(value);
      if (this.lines.length > 0 && this.timer === null) {
        const due = Math.max(0, this.sent + EVERY - Date.now());
        this.timer = setTimeout(() => this.flush(), due);
      }
    }
  }

  /** @param {{ id: string, event: string, data: string }} frame */
  take(frame) {
    if (frame.id) {
      const seq = Number(frame.id.slice(frame.id.indexOf(':') + 1));
      if (seq <= this.seq) return;
      this.seq = seq;
      this.lines.push(frame.data);
      return;
    }
    const said = JSON.parse(frame.data || '{}');
    if (frame.event === 'reset') {
      this.flush();
      this.epoch = said.epoch;
      this.seq = 0;
      this.tell({ reset: said });
    } else if (frame.event === 'gap') {
      this.flush();
      this.seq = Math.max(this.seq, said.to);
      this.tell({ gap: said });
    } else if (frame.event === 'heartbeat' || frame.event === 'caught-up') {
      this.tell({ head: this.seq, beat: true });
    }
  }
}

/** @type {any} */
const scope = globalThis;
if (typeof scope.SharedWorkerGlobalScope === 'function' && scope instanceof scope.SharedWorkerGlobalScope) {
  const feed = new Feed();
  scope.onconnect = (/** @type {MessageEvent} */ event) => {
    const port = event.ports[0];
    port.onmessage = (message) => feed.hear(port, message.data);
  };
} else if (typeof scope.DedicatedWorkerGlobalScope === 'function' && scope instanceof scope.DedicatedWorkerGlobalScope) {
  const feed = new Feed();
  scope.onmessage = (/** @type {MessageEvent} */ message) => feed.hear(scope, message.data);
}
