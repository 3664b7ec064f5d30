/** The table of keys, from which the help is made too. They are the player's; Enter, Esc and arrows are also the panes' own. */

/**
 * @typedef {object} Key
 * @property {string[]} keys as `KeyboardEvent.key` has them
 * @property {string} shown
 * @property {string} does
 * @property {string} act
 * @property {string} group
 */

/** @param {string} group @param {string} keys @param {string} act @param {string} does @param {string} [shown] @returns {Key} */
const key = (group, keys, act, does, shown) => ({
  group,
  keys: keys.split(' ').map((k) => (k === 'Space' ? ' ' : k)),
  act,
  does,
  shown: shown ?? keys,
});

/** @type {Key[]} */
export const KEYS = [
  key('Time', 'Space', 'play', 'play, pause'),
  key('Time', 'ArrowLeft ,', 'back1', 'one event back', '← ,'),
  key('Time', 'ArrowRight .', 'on1', 'one event on', '→ .'),
  key('Time', 'PageUp', 'back1000', '1000 events back', 'PgUp'),
  key('Time', 'PageDown', 'on1000', '1000 events on', 'PgDn'),
  key('Time', 'ArrowUp', 'listBack', 'the row before', '↑'),
  key('Time', 'ArrowDown', 'listOn', 'the row after', '↓'),
  key('Time', 'Home', 'begin', 'beginning'),
  key('Time', 'End', 'end', 'end; follows what comes'),
  key('Time', 'g', 'ask', 'go to a seq, 50%, a time, +30s, -2m'),
  key('Time', '+ =', 'faster', 'faster, up to 100x', '+'),
  key('Time', '-', 'slower', 'slower', '-'),
  key('Time', 'i', 'idle', 'leave idle time out; the scrubber goes by number'),
  key('Jumps', '!', 'firstFailure', 'first failure'),
  key('Jumps', 'f', 'nextFailure', 'next failure'),
  key('Jumps', 'F', 'previousFailure', 'previous failure'),
  key('Jumps', 'd', 'nextDrift', 'next drift'),
  key('Jumps', 'D', 'previousDrift', 'previous drift'),
  key('Jumps', 'c', 'nextChange', 'next config change'),
  key('Jumps', 'C', 'previousChange', 'previous config change'),
  key('Jumps', 'n', 'nextMatch', 'next that the filter takes'),
  key('Jumps', 'N', 'previousMatch', 'previous that the filter takes'),
  key('Look', '/', 'filter', 'filter: type:diff.* service:api failed text'),
  key('Look', 'm', 'mark', 'mark this moment; Config compares with it'),
  key('Look', 'M', 'toMark', 'back to the mark'),
  key('Look', 'z', 'zoom', 'zoom in around here; again: all'),
  key('Look', 'e', 'expand', 'show what a diff leaves out'),
  key('Look', 'Enter', 'open', 'the chosen thing in full'),
  key('Look', 'Escape', 'close', 'close; end the comparison; all services', 'Esc'),
  key('Pages', '0', 'page:broke', 'What broke'),
  key('Pages', '1', 'page:services', 'Services'),
  key('Pages', '2', 'page:config', 'Config'),
  key('Pages', '3', 'page:events', 'Events'),
  key('Pages', '4', 'page:logs', 'Logs'),
  key('Pages', '5', 'page:traffic', 'Traffic'),
  key('Pages', '6', 'page:graph', 'Graph'),
  key('Pages', '[', 'paneBefore', 'the pane before'),
  key('Pages', ']', 'paneAfter', 'the pane after'),
  key('Copy', 'y', 'copyJson', 'copy the event as JSON'),
  key('Copy', 'Y', 'copyCurl', 'copy its request as curl'),
  key('Copy', 'L', 'copyLink', 'copy the link to what is seen'),
  key('Page', 't', 'theme', 'light, dark, as the system'),
  key('Page', '?', 'help', 'this help'),
];

/** Fields in which letters are text. @param {EventTarget | null} target */
export function isField(target) {
  return target instanceof HTMLElement && (target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName));
}

/**
 * What a key does here; empty: it is the browser's.
 * @param {{ key: string, ctrlKey: boolean, altKey: boolean, metaKey: boolean, target: EventTarget | null, defaultPrevented: boolean }} event
 * @param {boolean} single whether single keys act
 */
export function act(event, single) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || isField(event.target)) return '';
  const { key: pressed, target } = event;
  // On a button or a link these press it.
  const presses = target instanceof HTMLElement && target.closest('button, a[href], summary, [role=tab]') !== null;
  if (presses && (pressed === ' ' || pressed === 'Enter')) return '';
  if (!single && pressed.length === 1) return '';
  return KEYS.find((known) => known.keys.includes(pressed))?.act ?? '';
}

/**
 * Where `g` leads: a seq, `50%`, a time of day, a time, `+30s`, `-2m`.
 * @param {string} text
 * @param {{ first: number, last: number, now: number, timeOf: (seq: number) => number, seqAt: (us: number) => number }} here
 * @returns {number | null}
 */
export function place(text, here) {
  const said = text.trim();
  if (/^\d+$/.test(said)) return Number(said);
  const part = /^(\d+(?:\.\d+)?)\s*%$/.exec(said);
  if (part) return Math.round(here.first + ((here.last - here.first) * Math.min(Number(part[1]), 100)) / 100);
  const step = /^([+-])\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(said);
  if (step) {
    const unit = { ms: 1e3, s: 1e6, m: 6e7, h: 3.6e9, d: 8.64e10 }[/** @type {'ms'} */ (step[3])];
    return here.seqAt(here.now + (step[1] === '-' ? -1 : 1) * Number(step[2]) * unit);
  }
  const time = /^(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d+)?))?$/.exec(said);
  if (time) {
    const day = Math.floor(here.now / 8.64e10) * 8.64e10;
    return here.seqAt(day + (Number(time[1]) * 3600 + Number(time[2]) * 60 + Number(time[3] ?? 0)) * 1e6);
  }
  const whole = Date.parse(said);
  return /^\d{4}-\d\d/.test(said) && Number.isFinite(whole) ? here.seqAt(whole * 1000) : null;
}
