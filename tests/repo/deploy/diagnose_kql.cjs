// Prints what Microsoft's KQL parser finds in each query of a JSON list on standard input, as a JSON list of lists.
// Arguments: the folder with the npm packages, then tables as `NAME=(column:type, ...)`.
const path = require("path");
const library = path.resolve(process.argv[2], "@kusto", "language-service-next");
require(path.join(library, "bridge.min.js"));
require(path.join(library, "Kusto.Language.Bridge.min.js"));
const { GlobalState, KustoCode, Symbols } = Kusto.Language;

const tables = process.argv.slice(3).map((table) => {
  const [name, schema] = table.split("=");
  return new Symbols.TableSymbol.$ctor7(name, schema, null);
});
const state = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", tables));
const diagnoses = (query) => {
  const found = KustoCode.ParseAndAnalyze(query, state).GetDiagnostics();
  return Array.from({ length: found.Count }, (_, place) => found.getItem(place).Message);
};
console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).map(diagnoses)));
