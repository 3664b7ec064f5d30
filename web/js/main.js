/** What starts: the page's frame, its pages, and what keys do. */
import { Actions } from './actions.js';
import { Bar } from './bar.js';
import { button, fill, h, say } from './dom.js';
import { act, KEYS } from './keys.js';
import { Live, StateAt } from './live.js';
import { Lives } from './lives.js';
import { Store } from './store.js';
import { PAGES, read } from './url.js';
import { count } from './words.js';

const NAMES = {
  broke: ['What broke', '0'],
  services: ['Services', '1'],
  config: ['Config', '2'],
  events: ['Events', '3'],
  logs: ['Logs', '4'],
  traffic: ['Traffic', '5'],
  graph: ['Graph', '6'],
};
/** Live news is told at most so often, in milliseconds. */
const NEWS_EVERY = 5000;

const store = new Store();
const live = new Live(store);
const state = new StateAt(store);
const lives = new Lives();
/** @type {Record<string, any>} */
const pages = {};
/** @type {any} */
let page = null;
let shown = '';

const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' });
const toast = h('div', { class: 'toast', role: 'status' });
const news = h('div', { class: 'aside', role: 'status', 'aria-live': 'polite' });
let toastTimer = 0;

/** What pages are given. */
const ctx = {
  store,
  state,
  lives,
  dialog,
  /** Says something for a moment. @param {string} text */
  say(text) {
    say(toast, text);
    toast.classList.add('on');
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => toast.classList.remove('on'), 4000);
  },
  /** Copies; where a browser has no clipboard (plain http beyond this machine), a selected field is shown. @param {string} text @param {string} what */
  async copy(text, what) {
    try {
      await navigator.clipboard.writeText(text);
      ctx.say(`Copied ${what}.`);
    } catch {
      const field = h('textarea', { class: 'mono', 'aria-label': what });
      field.value = text;
      open(`Copy ${what}`, [h('p', null, 'This browser gives the page no clipboard here. Ctrl-C copies what is selected.'), field]);
      field.select();
    }
  },
  open,
};

/** Opens a dialog. @param {string} title @param {any} content */
function open(title, content) {
  fill(
    dialog,
    h(
      'div',
      { class: 'dialog-head' },
      h('h2', { id: 'dialog-title' }, title),
      button('✕', () => dialog.close(), { class: 'icon', 'aria-label': 'Close' }),
    ),
    content,
  );
  if (!dialog.open) dialog.showModal();
}

const actions = new Actions(ctx, () => page);
const bar = new Bar(store, (name) => actions.do(name));
const tabs = h(
  'nav',
  { class: 'tabs', 'aria-label': 'Pages' },
  h(
    'div',
    { role: 'tablist', 'aria-label': 'Pages', class: 'tablist' },
    PAGES.map((name) =>
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: `tab-${name}`,
          'aria-controls': 'page',
          'aria-selected': 'false',
          tabindex: '-1',
          on: { click: () => store.see({ page: name }, { push: true }) },
        },
        NAMES[/** @type {'broke'} */ (name)][0],
        h('kbd', { 'aria-hidden': 'true' }, NAMES[/** @type {'broke'} */ (name)][1]),
      ),
    ),
  ),
);
tabs.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
  const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
  if (step === 0) return;
  const to = PAGES[(PAGES.indexOf(store.view.page) + step + PAGES.length) % PAGES.length];
  store.see({ page: to }, { push: true });
  tabs.querySelector(`#tab-${to}`)?.focus();
  event.preventDefault();
  event.stopPropagation();
});
const panel = h('div', { id: 'page', class: 'page', role: 'tabpanel', tabindex: '-1', 'aria-labelledby': 'tab-events' });
const main = h('main', null, panel);

/** Shows the page of the address. */
async function turn() {
  const name = store.view.page;
  if (name === shown) return;
  shown = name;
  for (const tab of tabs.querySelectorAll('[role=tab]')) {
    const is = tab.id === `tab-${name}`;
    tab.setAttribute('aria-selected', String(is));
    tab.setAttribute('tabindex', is ? '0' : '-1');
    if (is && tabs.scrollWidth > tabs.clientWidth) tab.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }
  panel.setAttribute('aria-labelledby', `tab-${name}`);
  if (!pages[name]) {
    const module = await import(`./pages/${name}.js`);
    pages[name] ??= new module.Page(ctx);
  }
  if (shown !== name) return;
  page = pages[name];
  panel.replaceChildren(page.root);
  document.title = `${NAMES[/** @type {'broke'} */ (name)][0]} – ${store.view.stream || 'rig'} – rig`;
  page.update(new Set(['view', 'page']));
}

let newsAt = 0;
let newsTimer = 0;
let told = 0;

/** Tells failures as they come, politely. */
function tell() {
  const { failures } = bar;
  if (!store.live || store.loading) {
    told = failures.failure;
    return;
  }
  const fresh = failures.failure - told;
  if (fresh <= 0 || newsTimer) return;
  newsTimer = setTimeout(
    () => {
      newsTimer = 0;
      newsAt = Date.now();
      const more = failures.failure - told;
      told = failures.failure;
      const last = store.next(store.head + 1, -1, store.kind('failure'));
      const who = store.columns.serviceOf(last) || store.columns.edgeOf(last).replace('→', ' to ');
      say(news, `${count(more, 'failure')}, last: ${who} ${store.columns.typeOf(last)}`);
    },
    Math.max(0, newsAt + NEWS_EVERY - Date.now()),
  );
}

store.listen((changed) => {
  if (changed.has('stream')) begin(store.view.stream);
  bar.update(changed);
  if (changed.has('page')) turn();
  page?.update(changed);
  tell();
});

/** Asks for a token. @param {any} problem */
function signIn(problem) {
  live.leave();
  const field = h('input', {
    type: 'password',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-label': 'Token',
    placeholder: 'rig_…',
    class: 'mono',
  });
  const go = () => {
    const token = field.value.trim();
    if (!token) return;
    dialog.close();
    store.source.signIn(token);
    start();
  };
  field.addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Enter') go();
  });
  open('Sign in', [
    h(
      'p',
      null,
      problem && store.source.token
        ? problem.message || 'The hub does not take this token.'
        : 'This hub shows its streams to who has a token.',
    ),
    h(
      'p',
      { class: 'soft' },
      'On the hub’s machine: ',
      h('code', null, 'rig token new --scope read --stream "*"'),
      '. It is kept in this tab only and sent as a header, never in an address.',
    ),
    h('div', { class: 'form' }, field, button('Sign in', go, { class: 'primary' })),
  ]);
  field.focus();
}

store.source.denied = (/** @type {any} */ problem) => {
  if (!dialog.open) signIn(problem);
};

/** Begins with a stream. @param {string} name */
async function begin(name) {
  if (!name) return;
  try {
    await live.open(name);
  } catch (error) {
    if (/** @type {any} */ (error).status !== 401) store.complain(/** @type {Error} */ (error).message);
  }
}

/** The code of a login is in the fragment; it is gone from the address before anything is fetched. */
async function signInByCode() {
  const code = /^#login=([0-9a-f]{64})$/.exec(location.hash)?.[1];
  if (location.hash) history.replaceState(null, '', location.pathname + location.search);
  if (!code) return;
  try {
    await store.source.logIn(code);
  } catch (error) {
    ctx.say(/** @type {Error} */ (error).message);
  }
}

/** Opens what the address says. */
async function start() {
  const said = read(location.pathname, location.search);
  try {
    const { source } = store;
    if (!source.token) {
      // Who has no token yet may get it from another tab before anybody is asked.
      const response = await fetch('/v1/whoami', { cache: 'no-store', credentials: 'omit' });
      if (response.status === 401 && !(await source.fromTabs())) return signIn(null);
    }
    const [who, listed] = await Promise.all([source.json('/v1/whoami'), source.json('/v1/streams')]);
    store.who = who;
    store.streams = listed.streams;
    const first = listed.streams.find((/** @type {any} */ one) => one.stream === 'main') ?? listed.streams[0];
    const { pageSaid, ...view } = said;
    if (!view.stream) view.stream = first?.stream ?? '';
    // What a recording with a failure is opened for is what broke.
    const about = listed.streams.find((/** @type {any} */ one) => one.stream === view.stream);
    store.see(view, { silent: true });
    store.touch('streams', 'page', 'stream');
    store.address(false);
    if (!pageSaid && about?.recording && view.seq === null && !view.q) {
      const broke = await source.json(`/v1/streams/${encodeURIComponent(view.stream)}/explain?limit=1`).catch(() => null);
      if (broke?.first_failure && store.view.page === 'events' && store.view.seq === null) store.see({ page: 'broke' });
    }
    if (!view.stream) store.complain('This hub has no stream yet: `rig record` and `rig snapshot` make one.');
  } catch (error) {
    const problem = /** @type {any} */ (error);
    if (problem.status !== 401) {
      store.complain(`The hub does not answer: ${problem.message}`);
      setTimeout(start, 3000);
    }
  }
}

addEventListener('popstate', () => {
  const { pageSaid, ...view } = read(location.pathname, location.search);
  const other = view.stream && view.stream !== store.view.stream;
  if (!view.stream) view.stream = store.view.stream;
  store.see(view, { silent: true });
  if (other) store.touch('stream');
});

bar.choose = (/** @type {string} */ name) => {
  store.see({ stream: name, seq: null, service: '', edge: '', cmp: null, z: null, epoch: '' }, { push: true });
};

addEventListener('keydown', (event) => {
  if (dialog.open) return;
  const name = act(event, actions.single);
  if (!name) return;
  event.preventDefault();
  actions.do(name);
});

/** The help, from the table that the keys are from. */
actions.help = () => {
  const groups = [...new Set(KEYS.map((key) => key.group))];
  const single = h('input', {
    type: 'checkbox',
    id: 'single',
    checked: actions.single,
    on: { change: () => actions.setSingle(single.checked) },
  });
  open('Keys', [
    h(
      'div',
      { class: 'keys' },
      groups.map((group) =>
        h(
          'section',
          null,
          h('h3', null, group),
          h(
            'dl',
            null,
            KEYS.filter((key) => key.group === group).map((key) => [
              h(
                'dt',
                null,
                key.shown.split(' ').map((one) => h('kbd', null, one)),
              ),
              h('dd', null, key.does),
            ]),
          ),
        ),
      ),
    ),
    h('p', null, single, h('label', { for: 'single' }, ' Single keys act (otherwise only those that are no letters)')),
    h('p', { class: 'soft' }, 'On the scrubber: drag, click a mark to go to it, the wheel zooms, Shift and drag zooms to a stretch.'),
  ]);
};

document.body.append(bar.top, bar.scrubber, bar.trouble, tabs, main, bar.foot, dialog, toast, news);
actions.theme(true);
store.source.shareWithTabs();
await signInByCode();
start();
