/** An event in words: pieces of text with a class each. The words are those of `rig_replay::summary`. */
import { ends } from './columns.js';
import { count, short, size, span } from './words.js';

/** @typedef {[string, string]} Piece class and text */

/** Escape sequences of terminals: colours, and others. */
export const ESCAPE = /\u001b\[([0-9;]*)m|\u001b\[[0-9;?]*[A-Za-z]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g;

const MOST = 3;
const NAMED = 120;

/** The payload of traffic, which rigd nests. @param {any} event */
export function callOf(event) {
  const nested = event.request ?? event.grpc_call ?? event.connection ?? event.kafka_request;
  return nested && typeof nested === 'object' && !Array.isArray(nested) ? nested : event;
}

/** A value of a config as text. @param {any} value @param {number} [most] */
export function value(value, most = NAMED) {
  const secret = secretOf(value);
  if (secret !== null) return `●●●● ${secret}`;
  if (value === undefined) return '';
  const text =
    typeof value === 'string'
      ? value
      : value !== null && typeof value === 'object' && 'text' in value && Object.keys(value).length === 1
        ? String(value.text)
        : (JSON.stringify(value) ?? '');
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** The fingerprint of a redacted value, or null. @param {any} value */
export function secretOf(value) {
  if (value !== null && typeof value === 'object' && typeof value.redacted === 'string') return short(value.redacted).slice(0, 8);
  if (typeof value === 'string') {
    const whole = /^<redacted:([^>]+)>$/.exec(value);
    if (whole) return short(whole[1]).slice(0, 8);
  }
  return null;
}

/** False for values that a rule holds equal, and for places that are noted for the fold. @param {any} change */
export const isDifference = (change) => change.op !== 'equivalent' && change.op !== 'placed';

/** A test: its name, its place, what is wrong. @param {any} it @returns {Piece[]} */
function test(it) {
  const name = [...(it.suite ?? []), it.name].filter(Boolean).join(' › ');
  const place = it.file ? ` at ${it.file}${it.line ? `:${it.line}` : ''}` : '';
  return [['', name], ['soft', place], ['bad', it.message ? `: ${it.message}` : '']];
}

/** @param {any} change @returns {Piece[]} */
export function change(change) {
  /** @type {Piece[]} */
  const pieces = [['path', change.path ?? '']];
  const has = (/** @type {string} */ key) => change[key] !== undefined;
  if (change.op === 'added' || (!has('before') && has('after'))) pieces.push(['soft', ' added '], ['value', value(change.after, 48)]);
  else if (change.op === 'removed' || (has('before') && !has('after')))
    pieces.push(['soft', ' removed '], ['value gone', value(change.before, 48)]);
  else pieces.push(['soft', ': '], ['value', value(change.before, 48)], ['soft', ' → '], ['value', value(change.after, 48)]);
  return pieces;
}

/** How a call went. @param {any} event */
export function outcome(event) {
  const call = callOf(event);
  const type = event.type ?? '';
  if (type === 'grpc.call.completed')
    return { text: String(call.grpc_status ?? 'no answer'), failed: call.grpc_status !== 'OK', refused: false };
  const status = call.status ?? call.status_code;
  if (typeof status !== 'number') return { text: 'no answer', failed: true, refused: false };
  return { text: String(status), failed: status >= 500 || type === 'request.failed', refused: status >= 400 && status < 500 };
}

/** @param {any} event @returns {Piece[]} */
function request(event) {
  const call = callOf(event);
  const { text, failed, refused } = outcome(event);
  const grpc = event.type === 'grpc.call.completed';
  /** @type {Piece[]} */
  const pieces = [
    ['name', String(call.source ?? '?')],
    ['soft', ' → '],
    ['name', String(call.target ?? '?')],
  ];
  pieces.push(['', grpc ? ` ${call.grpc_service ?? call.service ?? ''}/${call.method ?? ''}` : ` ${call.method ?? ''} ${call.path ?? ''}`]);
  pieces.push([failed ? 'bad' : refused ? 'warn' : 'good', ` ${failed ? '✗ ' : ''}${text}`]);
  const ms = Number(call.latency_ms);
  if (call.latency_ms !== undefined && ms >= 0) pieces.push(['soft', ` ${span(ms * 1000)}`]);
  if (call.error) pieces.push(['bad', ` ${call.error}`]);
  return pieces;
}

/** @param {any} event @returns {Piece[]} */
function diff(event) {
  /** @type {Piece[]} */
  const pieces = [];
  if (event.severity)
    pieces.push([`sev ${event.severity}`, severityGlyph(event.severity)], [`sev ${event.severity}`, ` ${event.severity} `]);
  const changes = (event.changes ?? []).filter(isDifference);
  const counts = ['added', 'removed', 'changed', 'moved'].filter((what) => event[what] > 0).map((what) => `${event[what]} ${what}`);
  if (event.hunks?.length) {
    const lines = [];
    if (event.lines_added) lines.push(`${count(event.lines_added, 'line')} added`);
    if (event.lines_removed) lines.push(`${count(event.lines_removed, 'line')} removed`);
    pieces.push(['', lines.join(', ') || counts.join(', ')]);
  } else if (changes.length === 0) {
    pieces.push(['', counts.join(', ')]);
  } else {
    changes.slice(0, MOST).forEach((/** @type {any} */ one, /** @type {number} */ i) => {
      if (i > 0) pieces.push(['soft', '; ']);
      pieces.push(...change(one));
    });
    const all = counts.length && changes.length > MOST ? `; ${counts.join(', ')} in all` : '';
    if (all) pieces.push(['soft', all]);
  }
  return pieces;
}

/** @param {any} event @returns {Piece[]} */
function drift(event) {
  /** @type {Piece[]} */
  const pieces = [];
  if (event.severity) pieces.push([`sev ${event.severity}`, `${severityGlyph(event.severity)} ${event.severity} `]);
  if (event.verdict) pieces.push(['drift', `${driftGlyph(event.verdict)} ${String(event.verdict).replace('-', ' ')} `]);
  const fields = event.fields ?? [];
  fields.slice(0, MOST).forEach((/** @type {any} */ field, /** @type {number} */ i) => {
    if (i > 0) pieces.push(['soft', '; ']);
    pieces.push(...change(field));
    if (field.accepted) pieces.push(['soft', ' accepted']);
  });
  const more = (event.differing ?? fields.length) - Math.min(fields.length, MOST);
  if (more > 0) pieces.push(['soft', `; ${more} more`]);
  if (event.reason) pieces.push(['soft', ` (${event.reason})`]);
  return pieces;
}

const OWN = new Set(['seq', 'ts', 'timestamp', 'type', 'service', 'id', 'cause', 'actor', 'more', 'environment']);

/** The fields of an event of a type that is not known. @param {any} event @returns {Piece[]} */
function fields(event) {
  /** @type {Piece[]} */
  const pieces = [];
  let length = 0;
  for (const [name, content] of Object.entries(event)) {
    if (OWN.has(name)) continue;
    const text = value(content, 60);
    pieces.push(['soft', `${pieces.length ? ' ' : ''}${name}=`], ['', text]);
    length += name.length + text.length;
    if (length > NAMED) break;
  }
  return pieces;
}

/** @param {any} event @returns {Piece[]} */
export function summary(event) {
  const type = String(event.type ?? '');
  if (event.missing) return [['soft', 'missing in this recording']];
  switch (type) {
    case 'snapshot.captured': {
      const redacted = event.redacted > 0 ? `, ${event.redacted} redacted` : '';
      const meta = Object.entries(event.meta ?? {})
        .map(([k, v]) => `, ${k}=${String(v).slice(0, 40)}`)
        .join('');
      return [['', `${event.format ?? ''}, ${count(event.fields ?? 0, 'field')}, ${size(event.bytes ?? 0)}${redacted}${meta}`]];
    }
    case 'snapshot.unchanged':
      return [['soft', `the same document as in ${event.captured ?? '?'}`]];
    case 'snapshot.rejected':
    case 'baseline.rejected':
      return [['bad', String(event.reason ?? '')]];
    case 'diff.computed':
      return diff(event);
    case 'baseline.approved':
      return [
        ['', `snapshot ${event.captured}, ${short(event.config_digest)}`],
        ['soft', event.key_id ? `, signed with key ${event.key_id}` : ''],
        ['soft', event.reason ? ` (${event.reason})` : ''],
      ];
    case 'baseline.revoked':
    case 'baseline.withdrawn':
    case 'baseline.declared':
      return [
        ['', short(event.config_digest ?? event.digest)],
        ['soft', event.reason ? ` (${event.reason})` : ''],
      ];
    case 'request.completed':
    case 'request.failed':
    case 'grpc.call.completed':
      return request(event);
    case 'kafka.request.completed':
    case 'connection.opened':
    case 'connection.closed': {
      const call = callOf(event);
      return [
        ['name', String(call.source ?? '?')],
        ['soft', ' → '],
        ['name', String(call.target ?? '?')],
        ['soft', call.bytes_in || call.bytes_out ? ` ${size(call.bytes_in ?? 0)} in, ${size(call.bytes_out ?? 0)} out` : ''],
      ];
    }
    case 'service.log': {
      const log = event.log ?? event;
      return [
        [
          log.stream === 'stderr' ? 'stderr' : '',
          String(log.data ?? '')
            .replace(ESCAPE, '')
            .trimEnd()
            .replace(/\n/g, ' ⏎ '),
        ],
      ];
    }
    case 'log.sealed':
      return [['soft', `up to ${event.upto}, ${short(event.chain)}`]];
    case 'log.pruned':
      return [['soft', `${count(event.events ?? 0, 'event')} before ${event.first_seq}`]];
    default:
  }
  if (type.startsWith('drift.')) return drift(event);
  if (type.startsWith('service.') || type.startsWith('environment.')) {
    const said = [event.environment && type.startsWith('environment.') ? event.environment : '', event.error, event.message]
      .filter((t) => typeof t === 'string' && t !== '')
      .join(': ');
    return [[event.error ? 'bad' : '', said]];
  }
  if (event.test && typeof event.test === 'object') return test(event.test);
  if (type === 'test.note' && event.error) return [['bad', String(event.error)]];
  return fields(event);
}

/** @param {string | null | undefined} severity */
export function severityGlyph(severity) {
  return { critical: '■', high: '▲', medium: '◆', low: '○' }[/** @type {'low'} */ (severity)] ?? '';
}

/** @param {string | null | undefined} verdict */
export function driftGlyph(verdict) {
  return { drifted: '◆', accepted: '◇', 'in-sync': '=' }[/** @type {'drifted'} */ (verdict)] ?? '';
}

/** Whom an event is about: a service, or both ends of an edge. @param {any} event @param {string} edge */
export function about(event, edge) {
  if (event?.service) return String(event.service);
  return edge ? ends(edge).join(' → ') : '';
}

/** A request as a command line. @param {any} event */
export function curl(event) {
  const call = callOf(event);
  if (!['request.completed', 'request.failed'].includes(event.type)) return '';
  const quote = (/** @type {string} */ text) => `'${text.replace(/'/g, "'\\''")}'`;
  const parts = ['curl', '-X', quote(String(call.method ?? 'GET'))];
  for (const [name, values] of Object.entries(call.request_headers ?? {})) {
    if (/^(host|content-length|connection|accept-encoding)$/i.test(name)) continue;
    for (const one of Array.isArray(values) ? values : [values]) parts.push('-H', quote(`${name}: ${one}`));
  }
  const body = bodyOf(call, 'request_body');
  if (body && !body.binary) parts.push('--data-raw', quote(body.text));
  parts.push(quote(`http://${call.target ?? 'localhost'}${String(call.path ?? '/').startsWith('/') ? '' : '/'}${call.path ?? '/'}`));
  return parts.join(' ');
}

/** @param {any} call @param {string} key */
export function bodyOf(call, key) {
  const cut = call[`${key}_truncated`] === true;
  const decoded = call[`${key}_decoded`];
  if (decoded !== undefined && decoded !== null) return { text: JSON.stringify(decoded, null, 2), binary: false, cut, bytes: 0 };
  const raw = call[key];
  if (typeof raw !== 'string' || raw === '') return null;
  try {
    const bytes = Uint8Array.from(atob(raw), (c) => c.charCodeAt(0));
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
      if (!/[\u0000-\u0008\u000e-\u001f]/.test(text)) return { text: pretty(text), binary: false, cut, bytes: bytes.length };
    } catch {
      // No text.
    }
    return {
      text: Array.from(bytes.slice(0, 64), (b) => b.toString(16).padStart(2, '0')).join(' '),
      binary: true,
      cut: cut || bytes.length > 64,
      bytes: bytes.length,
    };
  } catch {
    return { text: raw, binary: false, cut, bytes: raw.length };
  }
}

/** @param {string} text */
function pretty(text) {
  if (!/^\s*[[{]/.test(text) || text.length > 65536) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Text with ANSI colours as pieces; what is no colour is left out. @param {string} text @returns {[string, string][]} */
export function ansi(text) {
  /** @type {[string, string][]} */
  const found = [];
  let kind = '';
  let bold = false;
  let from = 0;
  const put = (/** @type {string} */ piece) => {
    if (piece) found.push([[kind, bold ? 'bold' : ''].filter(Boolean).join(' '), piece]);
  };
  for (const match of text.matchAll(ESCAPE)) {
    put(text.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[1] === undefined) continue;
    const codes = match[1] === '' ? [0] : match[1].split(';').map(Number);
    for (let i = 0; i < codes.length; i++) {
      const code = codes[i];
      if (code === 0) {
        kind = '';
        bold = false;
      } else if (code === 1) bold = true;
      else if (code === 22) bold = false;
      else if (code === 39) kind = '';
      else if (code >= 30 && code <= 37) kind = `c${code - 30}`;
      else if (code >= 90 && code <= 97) kind = `c${code - 90}`;
      else if (code === 38 || code === 48) i += codes[i + 1] === 5 ? 2 : 4;
    }
  }
  put(text.slice(from));
  return found;
}
