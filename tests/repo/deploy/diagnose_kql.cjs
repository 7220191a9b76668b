// Prints each diagnosis of Microsoft's KQL parser, one a line, for the query on standard input.
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
const code = KustoCode.ParseAndAnalyze(require("fs").readFileSync(0, "utf8"), state);
const found = code.GetDiagnostics();
for (let place = 0; place < found.Count; place++) console.log(found.getItem(place).Message);
