/** How a config stands against its baseline; and for who has `admin`, decisions: approve the config, accept drift, each with a reason. */
import { toSeq } from './detail.js';
import { button, fill, h, pieces } from './dom.js';
import { change, severityGlyph } from './summary.js';
import { count, number, short } from './words.js';

/** @param {any} ctx @param {string} name @param {any} now what the state has of the service */
export function baseline(ctx, name, now) {
  const { store } = ctx;
  const base = now?.baseline;
  const drift = now?.drift;
  const facts = base
    ? h(
        'dl',
        { class: 'facts' },
        h('dt', null, 'approved'),
        h('dd', null, toSeq(store, base.approved_seq), base.actor ? ` by ${base.actor}` : ''),
        h('dt', null, 'config of'),
        h('dd', null, toSeq(store, base.captured), h('span', { class: 'soft mono' }, ` ${short(base.config_digest)}`)),
        base.reason ? [h('dt', null, 'because'), h('dd', null, base.reason)] : null,
        base.key_id ? [h('dt', null, 'signed'), h('dd', null, `with key ${base.key_id}`)] : null,
      )
    : null;
  const verdict = drift
    ? h(
        'p',
        { class: `verdict ${drift.verdict === 'in-sync' ? 'good' : 'drift'}` },
        `${{ drifted: '◆ drifted', accepted: '◇ accepted', 'in-sync': '= in sync' }[/** @type {'drifted'} */ (drift.verdict)] ?? drift.verdict}${drift.differing ? `: ${count(drift.differing, 'field')} differ` : ''}`,
        ' since ',
        toSeq(store, drift.since_seq),
      )
    : null;
  const fields = drift?.fields?.length
    ? h(
        'ul',
        { class: 'changes' },
        drift.fields.map((/** @type {any} */ field) =>
          h(
            'li',
            null,
            h('span', { class: `sev ${field.severity ?? ''}` }, `${severityGlyph(field.severity)} `),
            pieces(change(field)),
            field.accepted ? h('span', { class: 'soft' }, ' accepted') : null,
          ),
        ),
        drift.differing > drift.fields.length
          ? h('li', { class: 'soft' }, `${number(drift.differing - drift.fields.length)} more differ`)
          : null,
      )
    : null;
  const acceptances = now?.acceptances?.length
    ? [
        h('h3', null, 'Accepted'),
        h(
          'ul',
          { class: 'changes' },
          now.acceptances.map((/** @type {any} */ one) =>
            h(
              'li',
              null,
              pieces(change(one.change)),
              h(
                'span',
                { class: 'soft' },
                ` ${one.actor ? `by ${one.actor} ` : ''}${one.until ? `until ${one.until.slice(0, 16)} ` : ''}${one.reason ? `(${one.reason}) ` : ''}`,
              ),
              toSeq(store, one.accepted_seq),
            ),
          ),
        ),
      ]
    : null;
  const decides = store.may('admin') && store.follows && now?.captured_seq;
  return [verdict, fields, facts, acceptances, decides ? decide(ctx, name, now) : null];
}

/** @param {any} ctx @param {string} name @param {any} now */
function decide(ctx, name, now) {
  const { source } = ctx.store;
  const at = source.of(`services/${encodeURIComponent(name)}`);
  const said = h('p', { class: 'soft', role: 'status' });
  const send = async (/** @type {string} */ path, /** @type {any} */ options, /** @type {string} */ done) => {
    fill(said, '…');
    try {
      await source.ask(path, options);
      fill(said, done);
    } catch (error) {
      fill(said, h('span', { class: 'bad' }, /** @type {Error} */ (error).message));
    }
  };
  const reason = (/** @type {string} */ id) =>
    h('input', { id, type: 'text', maxlength: '500', placeholder: 'reason', 'aria-label': 'Reason', autocomplete: 'off' });
  const why = reason('approve-reason');
  const approve = button('Approve this config', () => {
    if (!why.value.trim()) return why.focus();
    send(
      `${at}/baseline?reason=${encodeURIComponent(why.value.trim())}&digest=${encodeURIComponent(now.digest)}`,
      { method: 'PUT' },
      'Approved.',
    );
  });
  const parts = [h('h3', null, 'Approve'), h('div', { class: 'form' }, why, approve)];
  if (now.drift && now.drift.verdict === 'drifted') {
    const accepted = reason('accept-reason');
    const until = h('input', { type: 'date', 'aria-label': 'Accepted until; empty: as long as the baseline stands' });
    const accept = button('Accept these differences', () => {
      if (!accepted.value.trim()) return accepted.focus();
      const body = JSON.stringify({ reason: accepted.value.trim(), ...(until.value ? { until: `${until.value}T00:00:00Z` } : {}) });
      send(`${at}/drift/accept`, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } }, 'Accepted.');
    });
    parts.push(h('h3', null, 'Accept'), h('div', { class: 'form' }, accepted, until, accept));
  }
  return [parts, said];
}
