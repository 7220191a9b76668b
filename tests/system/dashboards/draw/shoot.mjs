// node shoot.mjs WANTED.json BUNDLE.js CHROMIUM: draws dashboards one after another, each with its `picture` as a PNG file, if it has
// one. Prints as JSON for each the title of the page ("drawn", or an error), its text and its logged errors.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const [wanted, bundle, executablePath] = process.argv.slice(2);
const WIDTH = 1366; // a laptop
const LONGEST = 60000; // milliseconds

const page = (one) => `<!doctype html><meta charset="utf-8"><title>drawing</title><link rel="stylesheet" href="/bundle.css"><body style="margin:0"><div id="place"></div>
<script>window.wanted = ${JSON.stringify(one).replaceAll('<', '\\u003c')}; window.__grafana_public_path__ = '/';</script>
<script src="/bundle.js"></script>`;
const dashboards = JSON.parse(readFileSync(wanted, 'utf8'));
const server = createServer((request, answer) => {
  const place = Number(request.url.slice(1));
  if (dashboards[place]) answer.setHeader('content-type', 'text/html').end(page(dashboards[place]));
  else if (request.url === '/bundle.js') answer.end(readFileSync(bundle));
  else if (request.url === '/bundle.css') answer.setHeader('content-type', 'text/css').end(readFileSync(bundle.replace(/js$/, 'css')));
  else answer.setHeader('content-type', 'image/svg+xml').end('<svg xmlns="http://www.w3.org/2000/svg"/>'); // icons
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

async function draw(browser, place) {
  const view = await browser.newPage({ viewport: { width: WIDTH, height: 900 } });
  const messages = [];
  view.on('pageerror', (error) => messages.push(String(error.stack ?? error)));
  view.on('console', (message) => message.type() === 'error' && messages.push(message.text()));
  await view.goto(`http://127.0.0.1:${server.address().port}/${place}`);
  await view.waitForFunction(() => document.title !== 'drawing', null, { timeout: LONGEST }).catch(() => {});
  const bottom = () => Math.max(300, ...[...document.querySelectorAll('.react-grid-item')].map((item) => item.getBoundingClientRect().bottom));
  const height = Math.ceil(await view.evaluate(bottom));
  await view.setViewportSize({ width: WIDTH, height: height + 12 });
  await view.waitForTimeout(2500); // panels that come into view are drawn now
  const { picture } = dashboards[place];
  if (picture) await view.screenshot({ path: picture });
  const text = await view.evaluate(() => document.body.innerText);
  const drawn = { title: await view.title(), text, messages: messages.slice(0, 8) };
  await view.close();
  return drawn;
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--no-proxy-server', '--force-color-profile=srgb'] });
try {
  const drawn = [];
  for (const place of dashboards.keys()) drawn.push(await draw(browser, place));
  process.stdout.write(JSON.stringify(drawn));
} finally {
  await browser.close();
  server.close();
}
