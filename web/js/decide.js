/** Decisions for who has `admin`: approve the config, accept drift. Each asks for a reason. */
import { button, fill, h } from './dom.js';

/** @param {any} ctx @param {string} name @param {any} now */
export function decide(ctx, name, now) {
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
  const reason = (/** @type {string} */ id) => h('input', { id, type: 'text', maxlength: '500', placeholder: 'reason', 'aria-label': 'Reason', autocomplete: 'off' });
  const why = reason('approve-reason');
  const approve = button('Approve this config', () => {
    if (!why.value.trim()) return why.focus();
    send(`${at}/baseline?reason=${encodeURIComponent(why.value.trim())}&digest=${encodeURIComponent(now.digest)}`, { method: 'PUT' }, 'Approved.');
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
