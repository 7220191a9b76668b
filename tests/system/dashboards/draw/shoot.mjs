// node shoot.mjs WANTED.json BUNDLE.js OUT.png CHROMIUM: draws one dashboard, writes the picture, and prints as JSON the title of the
// page ("drawn", or an error), its text and its logged errors.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const [wanted, bundle, out, executablePath] = process.argv.slice(2);
const WIDTH = 1366; // a laptop
const LONGEST = 60000; // milliseconds

const page = `<!doctype html><meta charset="utf-8"><title>drawing</title><link rel="stylesheet" href="/bundle.css"><body style="margin:0"><div id="place"></div>
<script>window.wanted = ${readFileSync(wanted, 'utf8').replaceAll('<', '\\u003c')}; window.__grafana_public_path__ = '/';</script>
<script src="/bundle.js"></script>`;
const server = createServer((request, answer) => {
  if (request.url === '/') answer.setHeader('content-type', 'text/html').end(page);
  else if (request.url === '/bundle.js') answer.end(readFileSync(bundle));
  else if (request.url === '/bundle.css') answer.setHeader('content-type', 'text/css').end(readFileSync(bundle.replace(/js$/, 'css')));
  else answer.setHeader('content-type', 'image/svg+xml').end('<svg xmlns="http://www.w3.org/2000/svg"/>'); // icons
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--no-proxy-server', '--force-color-profile=srgb'] });
try {
  const view = await browser.newPage({ viewport: { width: WIDTH, height: 900 } });
  const messages = [];
  view.on('pageerror', (error) => messages.push(String(error.stack ?? error)));
  view.on('console', (message) => message.type() === 'error' && messages.push(message.text()));
  await view.goto(`http://127.0.0.1:${server.address().port}/`);
  await view.waitForFunction(() => document.title !== 'drawing', null, { timeout: LONGEST }).catch(() => {});
  const bottom = () => Math.max(300, ...[...document.querySelectorAll('.react-grid-item')].map((item) => item.getBoundingClientRect().bottom));
  const height = Math.ceil(await view.evaluate(bottom));
  await view.setViewportSize({ width: WIDTH, height: height + 12 });
  await view.waitForTimeout(2500); // panels that come into view are drawn now
  await view.screenshot({ path: out });
  const text = await view.evaluate(() => document.body.innerText);
  process.stdout.write(JSON.stringify({ title: await view.title(), text, messages: messages.slice(0, 8) }));
} finally {
  await browser.close();
  server.close();
}
