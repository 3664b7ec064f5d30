// The page in a real Chromium, against a real hub and a recording that a hub plays. Run by tests/proof/web.rs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.RIG_PACKAGES}/x.js`);
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const { RIG_HUB: hub, RIG_RECORDED: recorded, RIG_SHOTS: shots } = process.env;

const browser = await chromium.launch({
  executablePath: process.env.RIG_CHROMIUM,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});
const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
const errors = [];
/** @param {import('playwright-core').Page} page */
function watch(page) {
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') errors.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.stack}`));
}
const seqOf = (page) => page.evaluate(() => Number(document.querySelector('rig-timeline').getAttribute('aria-valuenow')));
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const get = async (path) => (await fetch(hub + path)).json();
/** @param {() => Promise<boolean>} is @param {string} what */
async function until(is, what) {
  const begun = Date.now();
  while (!(await is())) {
    if (Date.now() - begun > 15_000) throw new Error(`it does not come: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
async function open(base, path) {
  const page = await context.newPage();
  watch(page);
  await page.goto(base + path);
  await until(async () => (await seqOf(page)) > 0 && !(await page.locator('.counts').textContent()).includes('loaded'), 'the columns');
  return page;
}
/** Nothing changes any more. */
async function settled(page) {
  let before = '';
  await until(async () => {
    await new Promise((done) => setTimeout(done, 80));
    const now = await page.evaluate(() => document.body.textContent);
    const same = now === before;
    before = now;
    return same;
  }, 'rest');
}
/** What axe finds on what is shown. */
async function faults(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run(document, { resultTypes: ['violations'] });
    return violations.map(
      (one) =>
        `${one.id}: ${one.nodes
          .slice(0, 3)
          .map((node) => `${node.target} ${node.failureSummary}`)
          .join(' | ')}`,
    );
  });
  assert.deepEqual(found, [], where);
}

const head = (await get('/v1/streams/main')).head;
const page = await open(hub, '/s/main');

// Live: what is appended is shown, and nothing of what was recorded became markup.
assert.equal(await seqOf(page), head);
assert.match(await page.locator('.badge').textContent(), /LIVE/);
const appended = await fetch(`${hub}/v1/streams/main/events`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ type: 'shop.sold', note: '<b>new</b>' }),
});
const added = (await appended.json()).events[0].seq;
await until(async () => (await seqOf(page)) === added, 'the event that was appended');
await page.locator('main .row', { hasText: 'shop.sold' }).first().waitFor();

// Every page in both themes, live in the one and at a moment in the other, without a finding, an error, or an element that
// nobody made.
const failure = (await get('/v1/streams/main/explain')).first_failure.seq;
for (const [theme, base, at] of [
  ['light', hub, ''],
  ['dark', recorded, `?seq=${failure}`],
]) {
  await page.goto(`${base}/s/main${at}`);
  await page.evaluate((theme) => {
    document.documentElement.dataset.theme = theme;
  }, theme);
  await until(async () => (await seqOf(page)) >= failure, 'the cursor');
  for (const [key, name] of ['broke', 'services', 'config', 'events', 'logs', 'traffic', 'graph'].entries()) {
    const where = `${name}, ${theme}, ${base === hub ? 'live' : 'recorded'}`;
    await page.keyboard.press(String(key));
    await page.locator(`#${name}-title`).waitFor();
    await settled(page);
    const odd = await page.evaluate(() =>
      [...document.querySelectorAll('img, iframe, script, object, embed, svg[onload], main b, main i')]
        .filter((node) => !(node.tagName === 'SCRIPT' && node.closest('head')))
        .map((node) => node.outerHTML),
    );
    assert.deepEqual(odd, [], where);
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined, where);
    const blank = await page.evaluate(() =>
      [...document.querySelectorAll('rig-list')]
        .filter((list) => list.offsetParent && Number(list.getAttribute('aria-rowcount')) > 0)
        .filter((list) => {
          const box = list.getBoundingClientRect();
          return ![...list.querySelectorAll('.row')].some((row) => {
            const at = row.getBoundingClientRect();
            return at.bottom > box.top + 4 && at.top < box.bottom - 4 && row.textContent.trim() !== '';
          });
        })
        .map((list) => list.getAttribute('aria-label')),
    );
    assert.deepEqual(blank, [], `${where}: lists with rows that show none`);
    const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
    assert.ok(nodes <= 1500, `${where}: ${nodes} nodes`);
    await faults(page, where);
    if (shots) {
      for (const width of [1440, 1024, 390]) {
        await page.setViewportSize({ width, height: width === 390 ? 844 : 900 });
        await drawn(page);
        await page.screenshot({ path: `${shots}/${name}-${theme}-${base === hub ? 'live' : 'recorded'}-${width}.png` });
      }
      await page.setViewportSize({ width: 1440, height: 900 });
    }
  }
}

// The state that is shown is that of the hub.
await page.goto(`${hub}/s/main?page=services&seq=4`);
await page.locator('main .row', { hasText: 'orders' }).first().waitFor();
assert.match(await page.locator('main .row', { hasText: 'orders' }).first().textContent(), /ready/);

// Keys do what the table says.
const lines = (await (await fetch(`${hub}/v1/streams/main/events?types=snapshot.captured,diff.computed`)).text()).trim().split('\n');
const changes = lines.map((line) => JSON.parse(line).seq).filter((seq) => seq > 1);
await page.goto(`${hub}/s/main?seq=10`);
await until(async () => (await seqOf(page)) === 10, 'the seq of the address');
const press = async (key, expected) => {
  await page.keyboard.press(key);
  await drawn(page);
  assert.equal(await seqOf(page), expected, key);
};
await press('ArrowRight', 11);
await press('.', 12);
await press(',', 11);
await press('ArrowLeft', 10);
await press('Home', 1);
const last = await page.evaluate(() => Number(document.querySelector('rig-timeline').getAttribute('aria-valuemax')));
await press('PageDown', last);
await press('!', failure);
await press('f', failure + 3);
await press('F', failure);
await press('Home', 1);
await press('c', changes[0]);
await press('c', changes[1]);
await press('C', changes[0]);
await press('Home', 1);
await page.keyboard.press('g');
await page.locator('dialog input').fill('50%');
await page.keyboard.press('Enter');
await drawn(page);
assert.equal(await seqOf(page), Math.round(1 + (last - 1) / 2));
await page.keyboard.press('m');
await page.keyboard.press('2');
await page.locator('#config-title').waitFor();
assert.match(page.url(), /page=config&cmp=/);
await page.keyboard.press('Escape');
await drawn(page);
assert.doesNotMatch(page.url(), /cmp=/);
await page.keyboard.press('?');
await page.locator('dialog h3', { hasText: 'Time' }).waitFor();
await page.keyboard.press('Escape');
await page.keyboard.press('/');
await page.keyboard.type('failed');
await page.keyboard.press('Escape');
assert.equal(await page.locator('input.filter').inputValue(), '');

// Back and forward lead through what was seen.
await page.goBack();
await page.goForward();

// A text is found behind the screen, and the address has it.
await page.goto(`${hub}/s/main?q=pool+timeout`);
await page.locator('main .row', { hasText: 'service.log' }).first().waitFor();
assert.match(await page.locator('main .at').nth(1).textContent(), /^1 of /);

// From what broke to who made the change, in three clicks.
await page.goto(`${recorded}/`);
await page.locator('#broke-title').waitFor();
await until(async () => /page=broke/.test(page.url()), 'the page in the address');
await page.getByRole('button', { name: 'Go to it' }).click();
await page.locator('.why .reasons').waitFor();
assert.match(await page.locator('.why').textContent(), /database\.pool.*20.*5/s);
await page.locator('.why .reasons button').first().click();
await drawn(page);
assert.match(await page.locator('.detail').textContent(), /ana/);

// Two tabs, one subscriber.
const other = await open(hub, '/s/main');
const third = await open(hub, '/s/main?page=logs');
const metrics = await (await fetch(`${hub}/metrics`)).text();
assert.match(metrics, /rig_subscribers\{stream="main"\} 1\b/);
await other.close();
await third.close();

await page.goto('about:blank');
assert.deepEqual(errors, []);
await browser.close();
