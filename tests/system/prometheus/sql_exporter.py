"""Debian's prometheus-sql-exporter with the queries of deploy/sql/ekm.collector.yml.

It is another program than the one that the collector is written for: it has its own configuration, and adds the labels `host`, `database` and
`user`. So the texts of the queries go into its form, and Prometheus gives the series their names. A query whose label `database` alone
distinguishes its rows cannot be used.
"""

from __future__ import annotations

import copy
from typing import Any

import yaml

from tests.support.simulated_sql import SQL

_OWN_LABELS = ("driver", "host", "database", "user", "col", "sql_job")
RELABELLING = """\
      - {source_labels: [__name__], regex: "sql_(mssql_ekm_.+)", target_label: __name__}
      - {regex: "exported_host|driver|database|user|col|sql_job", action: labeldrop}
"""


def collector() -> dict[str, Any]:
    return dict(yaml.safe_load((SQL / "ekm.collector.yml").read_text(encoding="utf-8")))


def queries() -> dict[str, str]:
    """Return the text of each metric's query."""
    found = collector()
    named = {one["query_name"]: one["query"] for one in found["queries"]}
    return {one["metric_name"]: one.get("query") or named[one["query_ref"]] for one in found["metrics"]}


def usable() -> dict[str, dict[str, Any]]:
    """Return the metrics whose value is a column, and whose rows differ in another label than `database`."""
    return {one["metric_name"]: one for one in collector()["metrics"] if "values" in one and one["key_labels"] != ["database"]}


def configuration(address: str, password: str) -> str:
    """Return the configuration for one server, with a query each second."""
    texts = queries()
    wanted = [
        {
            "name": name,
            "help": metric["help"],
            "labels": [label for label in metric["key_labels"] if label not in _OWN_LABELS],
            "values": copy.copy(metric["values"]),
            "query": texts[name],
        }
        for name, metric in usable().items()
    ]
    connection = f"sqlserver://ekm:{password}@{address}?encrypt=disable"
    return yaml.safe_dump({"jobs": [{"name": "ekm", "interval": "1s", "connections": [connection], "queries": wanted}]})
