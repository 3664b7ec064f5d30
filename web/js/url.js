/** What is seen, as an address and back. */

/**
 * @typedef {object} View
 * @property {string} stream
 * @property {number | null} seq the cursor; null follows the stream
 * @property {string} page
 * @property {string} service the service whose things are shown; empty: all
 * @property {string} edge the chosen edge, `source→target`
 * @property {number | null} cmp the mark: what is compared with the cursor
 * @property {string} q the filter
 * @property {[number, number] | null} z the stretch that everything is narrowed to, in seqs
 * @property {string} epoch
 */

export const PAGES = ['broke', 'services', 'config', 'events', 'logs', 'traffic', 'graph'];

/** @returns {View} */
export function nothing() {
  return { stream: '', seq: null, page: 'events', service: '', edge: '', cmp: null, q: '', z: null, epoch: '' };
}

/** @param {string | null} text */
function seqOf(text) {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/**
 * Reads an address; what makes no sense in it is left out.
 * @param {string} path @param {string} search
 * @returns {View & { pageSaid: boolean }}
 */
export function read(path, search) {
  const view = nothing();
  const query = new URLSearchParams(search);
  const stream = /^\/s\/([^/]+)$/.exec(path);
  if (stream) {
    try {
      view.stream = decodeURIComponent(stream[1]);
    } catch {
      view.stream = '';
    }
  }
  view.seq = seqOf(query.get('seq'));
  const page = query.get('page') ?? '';
  const pageSaid = PAGES.includes(page);
  if (pageSaid) view.page = page;
  view.service = query.get('service') ?? '';
  const selected = query.get('sel') ?? '';
  if (selected.startsWith('edge:')) view.edge = selected.slice(5);
  view.cmp = seqOf(query.get('cmp'));
  view.q = (query.get('q') ?? '').slice(0, 1024);
  const zoom = /^(\d{1,15})\.\.(\d{1,15})$/.exec(query.get('z') ?? '');
  if (zoom && Number(zoom[1]) <= Number(zoom[2])) view.z = [Number(zoom[1]), Number(zoom[2])];
  view.epoch = query.get('epoch') ?? '';
  return { ...view, pageSaid };
}

/**
 * Writes an address; what is as it is without being said is left out.
 * @param {View} view @param {{ epoch?: boolean }} [also]
 */
export function write(view, also = {}) {
  /** @type {string[]} */
  const query = [];
  /** @param {string} key @param {string} value */
  const put = (key, value) =>
    query.push(`${key}=${encodeURIComponent(value).replace(/%3A/g, ':').replace(/%2C/g, ',').replace(/%20/g, '+')}`);
  if (view.seq !== null) put('seq', String(view.seq));
  if (view.page !== 'events') put('page', view.page);
  if (view.service) put('service', view.service);
  if (view.edge) put('sel', `edge:${view.edge}`);
  if (view.cmp !== null) put('cmp', String(view.cmp));
  if (view.q) put('q', view.q);
  if (view.z) put('z', `${view.z[0]}..${view.z[1]}`);
  if (also.epoch && view.epoch) put('epoch', view.epoch);
  const path = view.stream ? `/s/${encodeURIComponent(view.stream)}` : '/';
  return path + (query.length ? `?${query.join('&')}` : '');
}
