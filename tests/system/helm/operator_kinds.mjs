// Validates objects of the Prometheus operator with @kubernetes-models/prometheus-operator.
// Argument: the folder with the npm packages. Reads a JSON list of objects from standard input.
// Prints a JSON list: null for a valid object, else the reason.
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const place = path.resolve(process.argv[2], "@kubernetes-models", "prometheus-operator");

// A copy that notes which fields a validator reads. A cluster drops a field that its schema does not have, so an unread one is an error.
function watched(value, at, unread) {
  if (value === null || typeof value !== "object") return value;
  const inner = Array.isArray(value) ? [] : {};
  for (const [name, one] of Object.entries(value)) {
    inner[name] = watched(one, `${at}/${name}`, unread);
    unread.add(`${at}/${name}`);
  }
  const read = (name) => unread.delete(`${at}/${String(name)}`);
  return new Proxy(inner, { get: (target, name) => (read(name), target[name]) });
}

async function reason(object) {
  const [group, version] = object.apiVersion.split("/");
  const unread = new Set();
  let model;
  try {
    model = await import(pathToFileURL(path.join(place, group, version, `${object.kind}.js`)));
  } catch {
    return `no kind ${object.kind} in ${object.apiVersion}`;
  }
  try {
    model[object.kind].prototype.validate.call(watched(object, "data", unread)); // the constructor would copy, and so read, every field
  } catch (invalid) {
    return invalid.message;
  }
  return unread.size ? `${[...unread].join(", ")} is unknown` : null;
}

const reasons = [];
for (const object of JSON.parse(readFileSync(0, "utf8"))) reasons.push(await reason(object));
console.log(JSON.stringify(reasons));
