/** Numbers, times and plurals in words. */

const THIN = '\u202f';

/** A whole number, grouped. @param {number} n */
export function number(n) {
  return Math.round(n).toLocaleString('en-US');
}

/** @param {number} n @param {string} what */
export function count(n, what) {
  if (n === 1) return `1 ${what}`;
  const many = /[^aeiou]y$/.test(what) ? `${what.slice(0, -1)}ies` : /(s|ch|x)$/.test(what) ? `${what}es` : `${what}s`;
  return `${number(n)} ${many}`;
}

/** @param {number} n @param {number} [digits] */
const pad = (n, digits = 2) => String(n).padStart(digits, '0');

/** The time of day in UTC, to the millisecond. @param {number} us microseconds since 1970 */
export function clock(us) {
  if (!Number.isFinite(us) || us <= 0) return '–';
  const at = new Date(us / 1000);
  return `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}.${pad(at.getUTCMilliseconds(), 3)}`;
}

/** The date in UTC. @param {number} us */
export function day(us) {
  if (!Number.isFinite(us) || us <= 0) return '';
  return new Date(us / 1000).toISOString().slice(0, 10);
}

/** Date and time in UTC, and in local time. @param {number} us */
export function both(us) {
  if (!Number.isFinite(us) || us <= 0) return '';
  return `${day(us)} ${clock(us)} UTC, ${new Date(us / 1000).toLocaleString()} here`;
}

/** Microseconds since 1970 of an RFC 3339 time. @param {string} text */
export function micros(text) {
  const match = /^(.*?:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/i.exec(text ?? '');
  if (!match) return NaN;
  const whole = Date.parse(match[1] + match[3]);
  return whole * 1000 + Number((match[2] ?? '').slice(0, 6).padEnd(6, '0'));
}

/** A duration, in three digits or so. @param {number} us microseconds */
export function span(us) {
  if (!Number.isFinite(us)) return '–';
  if (us < 1000) return `${Math.round(us)}${THIN}µs`;
  const ms = us / 1000;
  if (ms < 10) return `${trim(ms, 1)}${THIN}ms`;
  if (ms < 1000) return `${Math.round(ms)}${THIN}ms`;
  const s = ms / 1000;
  if (s < 10) return `${trim(s, 2)}${THIN}s`;
  if (s < 60) return `${trim(s, 1)}${THIN}s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes}${THIN}min ${Math.floor(s % 60)}${THIN}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}${THIN}h ${minutes % 60}${THIN}min`;
  return `${Math.floor(hours / 24)}${THIN}d ${hours % 24}${THIN}h`;
}

/** @param {number} n @param {number} digits */
function trim(n, digits) {
  return String(Number(n.toFixed(digits)));
}

/** How long ago, roughly. @param {number} us a duration */
export function ago(us) {
  return us < 0 ? 'later' : us < 1e6 ? 'now' : `${span(us)} ago`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let at = -1;
  let n = bytes;
  while (n >= 1024 && at < units.length - 1) {
    n /= 1024;
    at += 1;
  }
  return `${trim(n, n < 10 ? 1 : 0)} ${units[at]}`;
}

/** A percentage, or "0 %" only where it is nothing. @param {number} part @param {number} whole */
export function percent(part, whole) {
  if (whole === 0 || part === 0) return `0${THIN}%`;
  const p = (part / whole) * 100;
  return p < 0.1 ? `<0.1${THIN}%` : `${trim(p, p < 10 ? 1 : 0)}${THIN}%`;
}

/** The first characters of a digest. @param {string | null | undefined} digest */
export function short(digest) {
  const text = digest ?? '';
  const hex = text.slice(text.lastIndexOf(':') + 1);
  return hex.slice(0, 12);
}
