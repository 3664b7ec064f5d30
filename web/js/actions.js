/** What the keys and the buttons of the transport do. */
import { matcher } from './columns.js';
import { button, h } from './dom.js';
import { place } from './keys.js';
import { write } from './url.js';
import { number } from './words.js';

const SPEEDS = [1, 2, 5, 10, 20, 50, 100];
/** With idle time left out, no pause is longer, in microseconds. */
const LONGEST_PAUSE = 300_000;
const THEMES = ['', 'light', 'dark'];

/** @param {string} name */
function stored(name) {
  try {
    return localStorage.getItem(name) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} name @param {string} value */
function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // It lasts as long as the page.
  }
}

export class Actions {
  /** @param {any} ctx @param {() => any} page */
  constructor(ctx, page) {
    this.ctx = ctx;
    this.page = page;
    this.single = stored('rig.single') !== 'off';
    this.help = () => {};
    this.clock = 0;
    this.time = 0;
  }

  /** @param {boolean} single */
  setSingle(single) {
    this.single = single;
    keep('rig.single', single ? '' : 'off');
  }

  /** @param {string} name */
  do(name) {
    const { store } = this.ctx;
    const page = this.page();
    if (name.startsWith('page:')) {
      store.see({ page: name.slice(5) }, { push: true });
      return;
    }
    if (page?.act?.(name)) return;
    const step = { back1: -1, on1: 1, back10: -10, on10: 10, back1000: -1000, on1000: 1000 }[/** @type {'on1'} */ (name)];
    if (step) {
      store.playing = false;
      store.go(store.cursor + step);
      return;
    }
    const jump = /^(next|previous)(Failure|Drift|Change)$/.exec(name);
    if (jump) {
      const kind = /** @type {'failure'} */ (jump[2].toLowerCase());
      const words = { failure: 'failure', drift: 'drift', change: 'config change' }[kind];
      this.jump(
        store.next(store.cursor, jump[1] === 'next' ? 1 : -1, store.kind(kind)),
        `no ${jump[1] === 'next' ? 'later' : 'earlier'} ${words}`,
      );
      return;
    }
    switch (name) {
      case 'play':
        this.play();
        break;
      case 'begin':
        store.playing = false;
        store.go(store.lowest, true);
        break;
      case 'end':
        store.playing = false;
        if (store.view.z) store.go(store.highest, true);
        else store.go(null, true);
        break;
      case 'firstFailure':
        this.jump(store.next(store.lowest - 1, 1, store.kind('failure')), 'nothing failed');
        break;
      case 'nextMatch':
      case 'previousMatch': {
        const takes = matcher(store.columns, store.filter);
        const found = store.search?.seqs;
        const step_ = name === 'nextMatch' ? 1 : -1;
        this.jump(
          store.next(
            store.cursor,
            step_,
            (/** @type {number} */ at) => takes(at) && (!store.filter.text || found?.has(at + store.columns.first)),
          ),
          `nothing ${step_ > 0 ? 'later' : 'earlier'} that the filter takes`,
        );
        break;
      }
      case 'ask':
        this.ask();
        break;
      case 'faster':
      case 'slower': {
        const at = SPEEDS.indexOf(store.speed);
        store.speed = SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, at + (name === 'faster' ? 1 : -1)))];
        store.touch('view');
        break;
      }
      case 'idle':
        store.noIdle = !store.noIdle;
        store.touch('view');
        break;
      case 'filter': {
        const field = /** @type {HTMLInputElement | null} */ (document.querySelector('input.filter'));
        field?.focus();
        field?.select();
        break;
      }
      case 'mark':
        store.see({ cmp: store.cursor, seq: store.cursor }, { push: true });
        this.ctx.say(`Marked #${number(store.cursor)}: move, and Config shows what changed since.`);
        break;
      case 'toMark':
        if (store.view.cmp === null) this.ctx.say('There is no mark; m sets one.');
        else store.go(store.view.cmp, true);
        break;
      case 'zoom':
        this.zoom();
        break;
      case 'close':
        this.close();
        break;
      case 'open':
        if (store.view.page !== 'events') store.see({ page: 'events' }, { push: true });
        break;
      case 'paneBefore':
      case 'paneAfter':
        this.pane(name === 'paneAfter' ? 1 : -1);
        break;
      case 'copyLink':
        this.ctx.copy(
          new URL(write({ ...store.view, seq: store.cursor, epoch: store.epoch ?? '' }, { epoch: true }), location.href).href,
          'the link',
        );
        break;
      case 'copyJson':
      case 'copyCurl':
        this.ctx.say('Events and Traffic have an event to copy.');
        break;
      case 'theme':
        this.theme(false);
        break;
      case 'help':
        this.help();
        break;
      default:
    }
  }

  /** @param {number} seq @param {string} none */
  jump(seq, none) {
    const { store } = this.ctx;
    store.playing = false;
    if (seq) store.go(seq, true);
    else this.ctx.say(`There is ${none}.`);
  }

  play() {
    const { store } = this.ctx;
    store.playing = !store.playing;
    if (store.playing) {
      const from = store.follows || store.cursor >= store.highest ? store.lowest : store.cursor;
      store.go(from);
      this.clock = performance.now();
      this.time = store.columns.timeOf(from);
      this.tick();
    } else {
      store.go(store.cursor);
    }
    store.touch('view');
  }

  /** Moves on by as much time as went by. */
  tick() {
    const { store } = this.ctx;
    if (!store.playing) return;
    const now = performance.now();
    const passed = (now - this.clock) * 1000 * store.speed;
    this.clock = now;
    this.time += passed;
    const { columns, highest } = store;
    let seq = store.cursor;
    let last = columns.timeOf(seq);
    // Where nothing is left out the next event comes at its time; else after 0.3 s at most.
    while (seq < highest) {
      const next = columns.timeOf(seq + 1);
      const pause = next - last;
      if (store.noIdle && pause > LONGEST_PAUSE && this.time >= last + LONGEST_PAUSE) this.time = Math.max(this.time, next);
      if (next > this.time) break;
      seq += 1;
      last = next;
    }
    if (seq !== store.cursor) store.go(seq);
    if (seq >= highest) {
      store.playing = false;
      store.touch('view');
      return;
    }
    requestAnimationFrame(() => this.tick());
  }

  ask() {
    const { store } = this.ctx;
    const field = h('input', {
      type: 'text',
      class: 'mono',
      'aria-label': 'Where to',
      placeholder: '4211   50%   10:30:05   +30s   -2m',
      autocomplete: 'off',
      spellcheck: 'false',
    });
    const note = h('p', { class: 'soft', role: 'status' });
    const go = () => {
      const { columns } = store;
      const to = place(field.value, {
        first: store.lowest,
        last: store.highest,
        now: columns.timeOf(store.cursor),
        timeOf: (seq) => columns.timeOf(seq),
        seqAt: (us) => columns.seqAt(us),
      });
      if (to === null) {
        note.textContent = 'Write a seq (4211), 50%, a time (10:30:05, or with its date), +30s or -2m.';
        return;
      }
      this.ctx.dialog.close();
      store.playing = false;
      store.go(to, true);
    };
    field.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'Enter') go();
    });
    this.ctx.open('Go to', [h('div', { class: 'form' }, field, button('Go', go, { class: 'primary' })), note]);
    field.focus();
  }

  /** In around the cursor, or out. */
  zoom() {
    const { store } = this.ctx;
    if (store.view.z) {
      store.see({ z: null }, { push: true });
      return;
    }
    const { columns, cursor } = store;
    const near = Math.max(20, Math.round(columns.n / 20));
    store.see({ z: [Math.max(columns.first, cursor - near), Math.min(columns.last, cursor + near)] }, { push: true });
  }

  close() {
    const { store } = this.ctx;
    if (store.playing) this.play();
    else if (store.view.cmp !== null) store.see({ cmp: null }, { push: true });
    else if (store.view.service) store.see({ service: '' }, { push: true });
    else if (store.view.q) store.see({ q: '' }, { push: true });
    else if (store.view.z) store.see({ z: null }, { push: true });
  }

  /** To the pane before or after. @param {1 | -1} step */
  pane(step) {
    const places = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('rig-timeline, main rig-list, main .pane-body')]).filter(
      (node) => node.offsetParent !== null,
    );
    const at = places.findIndex((node) => node.contains(document.activeElement));
    places[(at + step + places.length) % places.length]?.focus();
  }

  /** The next theme, or that which was chosen. @param {boolean} first */
  theme(first) {
    let theme = stored('rig.theme');
    if (!first) {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      keep('rig.theme', theme);
      this.ctx.say(`Theme: ${theme || 'as the system'}.`);
    }
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    this.ctx.store.touch('view');
  }
}
