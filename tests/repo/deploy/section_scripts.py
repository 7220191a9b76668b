"""inventory.sql and proof.sql: their batches and queries, and the rows of each section for given system views."""

import re
from contextlib import closing

import sqlglot
from sqlglot import exp

from exporter.sqlserver.document import PROOF_SECTIONS, SECTIONS
from exporter.sqlserver.script import LOG
from tests.repo.deploy.pretend import PACKAGE, PretendServer, batches, without_apply, without_database

# The first batch of a script is SET NOCOUNT ON.
INVENTORY = tuple(batches("inventory.sql")[1:])
PROOF = tuple(batches("proof.sql", PACKAGE)[1:])
NAMES = {INVENTORY: SECTIONS, PROOF: tuple(name for name in PROOF_SECTIONS if name != LOG)}
_FILLING = re.compile(r"^INSERT INTO (@\w+) \([\w, ]+\)\n(EXEC .+;)$", re.MULTILINE)  # sqlglot does not know it
# The views of this imitation with the rows of a table variable.
_VIEWS = {"@log": "sys.error_log_lines", "@status": "sys.trace_status"}


def section_of(batch: str) -> str:
    (name,) = re.findall(r'"section":"(\w+)"', batch)
    return name


def filled(batch: str) -> list[tuple[str, str]]:
    """Return each table variable and the statement that fills it."""
    return _FILLING.findall(batch)


def parsed(batch: str) -> list[exp.Expression]:
    """Return the statements without those that fill a table variable."""
    return [one for one in sqlglot.parse(_FILLING.sub("", batch), dialect="tsql") if one is not None]


def query_of(batch: str) -> exp.Select:
    """Return the query whose rows the batch prints as JSON."""
    for variable, view in _VIEWS.items():
        batch = batch.replace(f"FROM {variable} AS", f"FROM {view} AS")
    (query,) = [one for statement in parsed(batch) for one in statement.find_all(exp.Select) if one.args.get("for_")]
    return without_apply(without_database(query))


def section_rows(script: tuple[str, ...], **views: list[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    """Run every query of the script; a NULL is left out, as FOR JSON does."""
    with closing(PretendServer(**views)) as server:
        return {
            section_of(batch): [
                {name: value for name, value in row.items() if value is not None} for row in server.query(query_of(batch))
            ]
            for batch in script
        }
