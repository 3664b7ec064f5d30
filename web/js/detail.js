/** An event in full: what it says, what may have led to it, and its line. */
import { FAILURE } from './columns.js';
import { button, fill, h, outside, pieces, say, tame } from './dom.js';
import { Exact, exactly, Latest, LINE } from './source.js';
import { ansi, bodyOf, callOf, change, curl, isDifference, outcome, secretOf, severityGlyph, summary, value } from './summary.js';
import { both, clock, count, day, number, span } from './words.js';

/** Members that are shown above, or say nothing to a reader. */
const SHOWN = new Set([
  'seq',
  'ts',
  'timestamp',
  'type',
  'service',
  'more',
  'cause',
  'changes',
  'hunks',
  'fields_',
  'config',
  'provenance',
  'sections',
]);
const CALL = new Set([
  'source',
  'target',
  'method',
  'path',
  'status',
  'status_code',
  'latency_ms',
  'request_headers',
  'response_headers',
  'request_body',
  'response_body',
  'request_metadata',
  'response_metadata',
  'request_body_decoded',
  'response_body_decoded',
  'request_body_truncated',
  'response_body_truncated',
  'grpc_status',
  'grpc_service',
  'error',
]);
/** Most rows of a list in here. */
const MOST = 200;

/** A link to an event. @param {any} store @param {number} seq @param {string} [label] */
export function toSeq(store, seq, label) {
  return h(
    'button',
    { type: 'button', class: 'link mono', title: `Go to event ${seq}`, on: { click: () => store.go(seq, true) } },
    label ?? `#${number(seq)}`,
  );
}

/** A value with its own look. @param {any} content @param {number} [most] */
export function shownValue(content, most = 400) {
  const secret = secretOf(content);
  if (secret !== null) return h('span', { class: 'secret', title: 'redacted; equal values have equal fingerprints' }, `●●●● ${secret}`);
  if (content instanceof Exact) return h('span', { class: 'v num' }, content.text);
  if (content === null) return h('span', { class: 'v soft' }, 'null');
  return h(
    'span',
    { class: `v ${typeof content}` },
    typeof content === 'string' ? JSON.stringify(tame(content, most)) : value(content, most),
  );
}

export class Detail {
  /** @param {any} ctx */
  constructor(ctx) {
    this.ctx = ctx;
    this.title = h('h2', null, 'Event');
    this.body = h('div', { class: 'pane-body detail', tabindex: '0', role: 'region', 'aria-label': 'The event in full' });
    this.tools = h('div', { class: 'tools' });
    this.root = h(
      'section',
      { class: 'pane detail-pane', 'aria-label': 'Event' },
      h('div', { class: 'pane-head' }, this.title, this.tools),
      this.body,
    );
    this.latest = new Latest();
    this.reasons = new Latest();
    this.seq = NaN;
    /** @type {any} */
    this.event = null;
    this.whyBox = h('div', { class: 'why' });
    this.whySeq = 0;
  }

  /** @param {Set<string>} changed */
  update(changed) {
    const { store } = this.ctx;
    const seq = store.cursor;
    if (seq === this.seq && this.event && !changed.has('epoch')) return;
    if (store.columns.n === 0 || !store.columns.has(seq)) {
      this.show(seq, null);
      return;
    }
    if (seq !== this.seq) this.reasons.cancel();
    const known = store.source.recent.get(seq);
    if (known) {
      this.latest.cancel();
      this.show(seq, known);
      return;
    }
    // While it moves fast only what it comes to rest on is fetched.
    this.latest.get(
      `${store.epoch} ${seq}`,
      (signal) => store.source.whole(seq, signal),
      (event) => this.show(seq, event),
      (error) => {
        this.seq = seq;
        fill(this.body, h('p', { class: 'empty' }, error.message));
      },
    );
  }

  /** @param {number} seq @param {any} event */
  show(seq, event) {
    this.seq = seq;
    this.event = event;
    const { store } = this.ctx;
    say(this.title, event ? `Event #${number(seq)}` : 'Event');
    if (!event || event.missing) {
      fill(this.tools);
      fill(this.body, h('p', { class: 'empty' }, event ? 'This event is missing in the recording.' : 'Choose an event.'));
      return;
    }
    const us = store.columns.timeOf(seq);
    const failed = ((store.columns.flags[seq - store.columns.first] ?? 0) & FAILURE) !== 0;
    const type = String(event.type);
    const rows = [
      this.row('type', h('span', { class: failed ? 'bad' : '' }, failed ? `✗ ${type}` : type)),
      this.row('time', h('span', { title: both(us) }, `${day(us)} ${clock(us)}`)),
      event.service
        ? this.row(
            'service',
            button(String(event.service), () => store.see({ service: String(event.service) }, { push: true }), { class: 'link mono' }),
          )
        : null,
      event.actor ? this.row('actor', String(event.actor)) : null,
      typeof event.cause === 'number' ? this.row('caused by', toSeq(store, event.cause)) : null,
    ];
    const call = callOf(event);
    const isCall = call.source !== undefined && call.target !== undefined;
    const [first, ...rest] = isCall ? this.call(event, call) : this.own(event);
    const failing = failed || type.startsWith('drift.') || type === 'diff.computed';
    fill(this.whyBox);
    fill(
      this.tools,
      button('JSON', () => this.ctx.copy(event[LINE] ?? JSON.stringify(event), 'the event as JSON'), {
        class: 'small',
        title: 'Copy as JSON (y)',
      }),
      curl(event)
        ? button('curl', () => this.ctx.copy(curl(event), 'the request as curl'), { class: 'small', title: 'Copy the request as curl (Y)' })
        : null,
      button('why', () => this.why(seq), { class: 'small', title: 'What may have led to it' }),
    );
    fill(this.body, h('dl', { class: 'facts' }, rows), first, this.whyBox, rest, this.raw(event));
    // Who stands on a failure wants to know why.
    if (failing && failed && !store.follows && !store.playing) this.why(seq);
  }

  /** @param {string} name @param {any} content */
  row(name, content) {
    return [h('dt', null, name), h('dd', null, content)];
  }

  /** @param {any} event @param {any} call */
  call(event, call) {
    const { store } = this.ctx;
    const went = outcome(event);
    const ms = Number(call.latency_ms);
    const edge = `${call.source}→${call.target}`;
    const facts = [
      this.row(
        'edge',
        button(`${call.source} → ${call.target}`, () => store.see({ page: 'traffic', edge }, { push: true }), {
          class: 'link mono',
          title: 'Its traffic',
        }),
      ),
      call.method || call.path
        ? this.row('request', h('span', { class: 'mono' }, `${call.method ?? ''} ${call.path ?? call.grpc_service ?? ''}`))
        : null,
      event.type.startsWith('connection.') || event.type.startsWith('kafka.')
        ? null
        : this.row('status', h('span', { class: went.failed ? 'bad' : went.refused ? 'warn' : 'good' }, went.text)),
      ms >= 0 ? this.row('latency', span(ms * 1000)) : null,
      call.error ? this.row('error', h('span', { class: 'bad' }, String(call.error))) : null,
    ];
    const rest = Object.entries(call).filter(
      ([name, v]) => !CALL.has(name) && !SHOWN.has(name) && name !== 'actor' && typeof v !== 'object',
    );
    for (const [name, v] of rest)
      facts.push(this.row(name, /^https?:/.test(String(v)) && name === 'ingress' ? outside(String(v)) : shownValue(v)));
    return [
      h('dl', { class: 'facts' }, facts),
      this.headers('Request headers', call.request_headers ?? call.request_metadata),
      this.content('Request body', bodyOf(call, 'request_body')),
      this.headers('Response headers', call.response_headers ?? call.response_metadata),
      this.content('Response body', bodyOf(call, 'response_body')),
    ];
  }

  /** @param {string} title @param {any} headers */
  headers(title, headers) {
    const all = Object.entries(headers ?? {});
    if (all.length === 0) return null;
    const rows = all.slice(0, MOST).map(([name, v]) =>
      this.row(
        name,
        (Array.isArray(v) ? v : [v]).map((one) => h('div', { class: 'mono' }, typeof one === 'string' ? one : value(one))),
      ),
    );
    return h('details', { open: true }, h('summary', null, `${title} (${all.length})`), h('dl', { class: 'facts headers' }, rows));
  }

  /** @param {string} title @param {ReturnType<typeof bodyOf>} body */
  content(title, body) {
    if (!body) return null;
    const note = [body.binary ? 'binary' : '', body.cut ? 'cut when it was recorded' : ''].filter(Boolean).join(', ');
    return h('details', { open: true }, h('summary', null, note ? `${title} (${note})` : title), h('pre', { tabindex: '0' }, body.text));
  }

  /** What an event of another kind says. @param {any} event */
  own(event) {
    const parts = [];
    const said = summary(event);
    const isLog = event.type === 'service.log';
    if (said.length && !isLog) parts.push(h('p', { class: 'said' }, pieces(said)));
    const { store } = this.ctx;
    if (isLog) parts.push(h('pre', { tabindex: '0' }, pieces(ansi(String((event.log ?? event).data ?? '')))));
    const changes = (event.changes ?? event.fields ?? []).filter?.((/** @type {any} */ c) => c && typeof c === 'object' && c.path && isDifference(c)) ?? [];
    if (changes.length) {
      const config = event.service
        ? button('In Config', () => store.see({ page: 'config', service: String(event.service) }, { push: true }), { class: 'small' })
        : null;
      parts.push(h('h3', null, event.type.startsWith('drift.') ? 'Fields that differ' : 'Changes', ' ', config));
      parts.push(
        h(
          'ul',
          { class: 'changes' },
          changes
            .slice(0, MOST)
            .map((/** @type {any} */ c) =>
              h(
                'li',
                null,
                h('span', { class: `sev ${c.severity ?? ''}`, title: c.severity ?? '' }, `${severityGlyph(c.severity)} `),
                pieces(change(c)),
                c.accepted ? h('span', { class: 'soft' }, ' accepted') : '',
              ),
            ),
        ),
      );
      if (changes.length > MOST) parts.push(h('p', { class: 'soft' }, `${number(changes.length - MOST)} more are in Config`));
    }
    const rest = Object.entries(event).filter(
      ([name, v]) =>
        !SHOWN.has(name) &&
        name !== 'actor' &&
        name !== 'fields' &&
        !(isLog && (name === 'log' || name === 'data')) &&
        v !== null &&
        typeof v !== 'object',
    );
    if (rest.length)
      parts.push(
        h(
          'dl',
          { class: 'facts' },
          rest.slice(0, MOST).map(([name, v]) => this.row(name, h('span', { class: 'mono' }, typeof v === 'string' ? v : value(v)))),
        ),
      );
    if (event.meta && typeof event.meta === 'object')
      parts.push(
        h('h3', null, 'Labels'),
        h(
          'dl',
          { class: 'facts' },
          Object.entries(event.meta)
            .slice(0, MOST)
            .map(([name, v]) => this.row(name, String(v))),
        ),
      );
    return parts;
  }

  /** @param {any} event */
  raw(event) {
    const details = h('details', { class: 'raw' }, h('summary', null, 'The line as it was recorded'));
    details.addEventListener('toggle', () => {
      if (!details.open || details.querySelector('pre')) return;
      const line = event[LINE] ?? JSON.stringify(event);
      const text = line.length > 65536 ? line : JSON.stringify(exactly(line), null, 2);
      details.append(h('pre', { tabindex: '0' }, tame(text, 65536)));
    });
    return details;
  }

  /** @param {number} seq */
  why(seq) {
    const { store } = this.ctx;
    fill(this.whyBox, h('p', { class: 'soft' }, 'Looking for what may have led to it…'));
    this.reasons.cancel();
    this.reasons.get(
      String(seq),
      (signal) => store.source.exact(`${store.source.of('why')}?seq=${seq}&limit=5`, { signal }),
      (found) => fill(this.whyBox, reasons(store, found)),
      (error) => fill(this.whyBox, h('p', { class: 'bad' }, error.message)),
    );
  }

  /** @param {string} act */
  act(act) {
    if (act !== 'copyJson' && act !== 'copyCurl') return false;
    if (!this.event) return true;
    if (act === 'copyJson') this.ctx.copy(this.event[LINE] ?? JSON.stringify(this.event), 'the event as JSON');
    else if (curl(this.event)) this.ctx.copy(curl(this.event), 'the request as curl');
    else this.ctx.say('This event is no HTTP request.');
    return true;
  }
}

/** The likely reasons as a list. @param {any} store @param {any} found @param {string} [heading] */
export function reasons(store, found, heading = 'h3') {
  const list = found.reasons.map((/** @type {any} */ reason) =>
    h(
      'li',
      null,
      h(
        'div',
        null,
        toSeq(store, reason.seq),
        ' ',
        h('strong', null, reason.type),
        reason.service ? ` ${reason.service}` : '',
        reason.actor ? h('span', { class: 'soft' }, ` by ${reason.actor}`) : '',
        reason.times > 1 ? h('span', { class: 'soft' }, `, the last of ${reason.times}`) : '',
      ),
      reason.changes?.length
        ? h(
            'ul',
            { class: 'changes' },
            reason.changes.map((/** @type {any} */ c) => h('li', null, pieces(change(c)))),
            reason.more_changes ? h('li', { class: 'soft' }, `and ${count(reason.more_changes, 'field')} more`) : null,
          )
        : null,
      h('div', { class: 'soft because' }, reason.because.join(' · ')),
    ),
  );
  return [
    h(heading, null, 'What may have led to it'),
    found.worked && found.failed_since
      ? h(
          'p',
          { class: 'soft' },
          'The same worked at ',
          toSeq(store, found.worked),
          '; it has failed since ',
          toSeq(store, found.failed_since),
          '.',
        )
      : null,
    list.length ? h('ol', { class: 'reasons' }, list) : h('p', { class: 'soft' }, 'Nothing that could have led to it was recorded.'),
    found.more ? h('p', { class: 'soft' }, `${number(found.more)} less likely`) : null,
  ];
}
