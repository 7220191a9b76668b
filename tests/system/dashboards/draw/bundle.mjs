// node bundle.mjs OUT: bundles the page into one file.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const here = import.meta.dirname;

// The grid under Grafana's tables is published for React 19; Grafana has a fork of its own for React 18, which is not published.
const gridForReact18 = {
  name: 'grid for React 18',
  setup: (made) => made.onLoad({ filter: /react-data-grid\/lib\/index\.js$/ }, ({ path: file }) => ({
    contents: readFileSync(file, 'utf8').replace(/\b(jsxs?\((\w+Context)),/g, '$1.Provider,').replace(/\buse\(/g, 'useContext('),
  })),
};

// Packages that no panel needs: editors, maps, forms. They would be three quarters of all files, so package.json replaces them by a small
// one. In the bundle each is an object that has every field and can be called.
const { overrides } = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'));
const unneeded = Object.keys(overrides).filter((name) => overrides[name].startsWith('npm:'));
const anything = `
const anything = new Proxy(function () {}, {
  get: (_, name) => (name === Symbol.toPrimitive ? () => '' : anything), apply: () => anything, construct: () => anything,
});
module.exports = Object.create(anything);`;
const withoutUnneeded = {
  name: 'without unneeded packages',
  setup: (made) => {
    made.onResolve({ filter: new RegExp(`^(${unneeded.join('|')})(/|$)`) }, ({ path: name }) => ({ path: name, namespace: 'unneeded' }));
    made.onLoad({ filter: /./, namespace: 'unneeded' }, () => ({ contents: anything }));
  },
};

await build({
  entryPoints: [path.join(here, 'scene.jsx')],
  outfile: process.argv[2],
  bundle: true,
  format: 'iife',
  jsx: 'automatic',
  conditions: ['browser', 'module', 'import'],
  mainFields: ['browser', 'module', 'main'],
  define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
  loader: { '.svg': 'text', '.woff2': 'empty', '.woff': 'empty', '.ttf': 'empty', '.png': 'dataurl' },
  // @grafana/scenes imports the compatibility package of router version 5. Version 6 itself replaces it here.
  alias: { 'react-router-dom-v5-compat': 'react-router-dom' },
  plugins: [gridForReact18, withoutUnneeded],
  logLevel: 'error',
});
