/** What stands above every page: stream, filter, transport and scrubber; and the line below it. */
import { FAILURE } from './columns.js';
import { button, fill, h, say } from './dom.js';
import { both, clock, count, day, number } from './words.js';
import './timeline.js';

export class Bar {
  /** @param {import('./store.js').Store} store @param {(act: string) => void} act */
  constructor(store, act) {
    this.store = store;
    this.stream = h('select', { 'aria-label': 'Stream', class: 'stream', on: { change: () => this.choose(this.stream.value) } });
    this.badge = h('span', { class: 'badge' });
    this.filter = h('input', {
      type: 'search',
      class: 'filter',
      placeholder: 'Filter: type:diff.* service:api failed text   ( / )',
      'aria-label': 'Filter: type:diff.*, service:api, failed, or a text',
      spellcheck: 'false',
      autocomplete: 'off',
      on: {
        input: () => store.see({ q: this.filter.value }),
        keydown: (/** @type {KeyboardEvent} */ event) => {
          if (event.key === 'Escape') {
            if (this.filter.value) {
              this.filter.value = '';
              store.see({ q: '' });
            }
            this.filter.blur();
            event.preventDefault();
          } else if (event.key === 'Enter') {
            this.filter.blur();
            act('nextMatch');
          }
        },
      },
    });
    const link = h(
      'svg',
      { viewBox: '0 0 16 16', 'stroke-width': '1.5' },
      h('path', { d: 'M6.5 9.5l3-3M7 4.5l1.6-1.6a3 3 0 0 1 4.4 4.4L11.5 9M9 11.5l-1.6 1.6a3 3 0 0 1-4.4-4.4L4.5 7' }),
    );
    const icon = (/** @type {any} */ glyph, /** @type {string} */ what, /** @type {string} */ name) =>
      button(glyph, () => act(name), { class: 'icon', title: what, 'aria-label': what });
    this.theme = icon('◐', 'Light, dark, or as the system (t)', 'theme');
    this.top = h(
      'header',
      { class: 'top' },
      h('a', { class: 'brand', href: '/', title: 'rig: flight recorder' }, 'rig'),
      this.stream,
      this.badge,
      this.filter,
      icon(link, 'Copy the link to what is seen (L)', 'copyLink'),
      this.theme,
      icon('?', 'Keys and help (?)', 'help'),
    );
    this.play = icon('▶', 'Play, pause (Space)', 'play');
    this.rate = h('span', { class: 'rate', title: 'Speed (+ and -)' }, '1x');
    this.where = h('div', { class: 'where' });
    this.time = h('div', { class: 'time' });
    this.behind = h('div', { class: 'behind' });
    this.follow = button('Follow', () => act('end'), { class: 'small', title: 'Follow what comes (End)' });
    this.unzoom = button('All', () => act('zoom'), { class: 'small', title: 'Show everything again (z)' });
    /** @type {any} */
    this.line = document.createElement('rig-timeline');
    this.line.store = store;
    this.keys = h(
      'div',
      { class: 'transport', role: 'group', 'aria-label': 'Transport' },
      icon('|‹', 'Beginning (Home)', 'begin'),
      icon('‹', 'One event back (←)', 'back1'),
      this.play,
      icon('›', 'One event on (→)', 'on1'),
      icon('✗›', 'Next failure (f)', 'nextFailure'),
      this.rate,
    );
    this.scrubber = h(
      'section',
      { class: 'scrubber', 'aria-label': 'Scrubber' },
      h(
        'div',
        { class: 'position' },
        this.keys,
        this.where,
        this.time,
        h('div', { class: 'buttons' }, this.behind, this.follow, this.unzoom),
      ),
      this.line,
    );
    this.trouble = h('div', { class: 'trouble', role: 'status' });
    this.counts = h('div', { class: 'counts' });
    this.foot = h('footer', { class: 'foot' }, this.counts);
    this.failures = { upto: 0, version: -1, columns: /** @type {any} */ (null), failure: 0, drift: 0, change: 0 };
    /** @type {(name: string) => void} */
    this.choose = () => {};
  }

  /** @param {Set<string>} changed */
  update(changed) {
    const { store } = this;
    const { columns, view } = store;
    if (changed.has('streams') || changed.has('stream')) {
      const names = store.streams.map((one) => one.stream);
      if (view.stream && !names.includes(view.stream)) names.push(view.stream);
      fill(
        this.stream,
        names.map((name) => h('option', { value: name, selected: name === view.stream }, name)),
      );
      this.stream.value = view.stream;
    }
    if (this.filter.value !== view.q && document.activeElement !== this.filter) this.filter.value = view.q;
    const [what, title] = store.recording
      ? ['recorded', 'A recording: what is shown is all that there is']
      : !store.live
        ? ['away', 'There is no connection to the hub']
        : store.follows
          ? ['live', 'It follows the stream']
          : ['past', 'A moment of the past of a stream that goes on'];
    this.badge.className = `badge ${what}`;
    this.badge.title = title;
    say(this.badge, { recorded: '■ RECORDED', away: '○ AWAY', live: '● LIVE', past: '‖ PAST' }[what]);
    const { cursor, head } = store;
    say(this.where, head < columns.first ? 'no events yet' : `#${number(cursor)} / ${number(head)}`);
    const us = columns.timeOf(cursor);
    say(this.time, `${clock(us)}`);
    this.time.title = both(us);
    this.time.dataset.day = day(us);
    const late = head - cursor;
    say(this.behind, store.follows ? '' : `${number(late)} ${store.recording ? 'to come' : 'behind'}`);
    this.follow.hidden = store.follows;
    say(this.follow, store.recording ? 'End' : 'Follow');
    this.unzoom.hidden = !view.z;
    say(this.play, store.playing ? '‖' : '▶');
    say(this.rate, `${store.speed}x${store.noIdle ? ' i' : ''}`);
    this.line.draw();
    const trouble =
      store.trouble || (store.gaps.length ? store.gaps.map((gap) => `gap ${gap.from}–${gap.to}: ${gap.reason}`).join('; ') : '');
    say(this.trouble, trouble);
    this.trouble.hidden = trouble === '';
    this.count();
  }

  /** Failures, drifts and changes of all, counted as they come. */
  count() {
    const { store, failures } = this;
    const { columns } = store;
    if (failures.columns !== columns || failures.version !== columns.version) {
      Object.assign(failures, { columns, version: columns.version, upto: 0, failure: 0, drift: 0, change: 0 });
    }
    const isDrift = store.kind('drift');
    const isChange = store.kind('change');
    for (let at = failures.upto; at < columns.n; at++) {
      if (columns.flags[at] & FAILURE) failures.failure += 1;
      if (isDrift(at)) failures.drift += 1;
      else if (isChange(at)) failures.change += 1;
    }
    failures.upto = columns.n;
    const loading = columns.loaded < columns.n && store.missing() ? ` (${number(columns.loaded)} loaded)` : '';
    const first = columns.first > 1 ? `, from #${number(columns.first)}: older ones are pruned` : '';
    fill(
      this.counts,
      h('span', null, `${count(Math.max(columns.n, 0), 'event')}${loading}${first}`),
      h('span', { class: failures.failure ? 'bad' : '' }, `✗ ${count(failures.failure, 'failure')}`),
      h('span', { class: failures.drift ? 'drift' : '' }, `◆ ${count(failures.drift, 'drift')}`),
      h('span', { class: failures.change ? 'change' : '' }, `△ ${count(failures.change, 'change')}`),
      h('span', { class: 'end' }, store.epoch ? `epoch ${store.epoch}` : ''),
      h('span', null, store.who?.name ? `signed in as ${store.who.name}` : ''),
    );
  }
}
