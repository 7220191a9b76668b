"""SQL Servers of a small configuration, and a client of python-tds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytds

from exporter.config.load import load_config
from exporter.config.settings import Config
from exporter.simulator.build import build_environment
from exporter.simulator.sql_servers import SqlServers
from exporter.sqlserver import script
from exporter.sqlserver.document import SECTIONS

OLD, NEW = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
CONFIG = f"""
credentials:
  tde: {{type: connector_secret, secret_file: tde.txt}}
targets:
  - name: sales
    vault: contoso-sales
    key: SalesKey/{OLD}
    thumbprint: "0x{"A1" * 20}"
    credential: tde
    connector_generation: current
    instances: [{{sql_instance: SQLPRD01, host: n1, ag: AG7}}, {{sql_instance: SQLPRD01, host: n2, ag: AG7}}]
  - name: claims
    vault: contoso-claims
    key: ClaimsKey/{OLD}
    thumbprint: "0x{"C3" * 20}"
    credential: tde
    connector_generation: current
    instances: [{{sql_instance: n3, host: n3}}]
"""
FIRST, SECOND, DEFAULT = "N1\\SQLPRD01", "N2\\SQLPRD01", "N3"


def configuration(folder: Path, text: str = CONFIG) -> Config:
    (folder / "tde.txt").write_text("00000000000000000000000000000001" + "marked-secret")
    (folder / "ekm.yml").write_text(text)
    loaded = load_config(folder / "ekm.yml")
    assert loaded.config is not None
    return loaded.config


def sql_servers(folder: Path, **options: Any) -> SqlServers:
    return SqlServers(build_environment(configuration(folder)), **options)


@contextmanager
def client(servers: SqlServers, name: str = FIRST, **options: Any) -> Iterator[Any]:
    """Yield a cursor of python-tds. Blocks."""
    wanted = {
        "user": "ekm",
        "password": servers.password,
        "login_timeout": 30,
        "timeout": 30,
        "autocommit": True,
        "validate_host": False,
    }
    # python-tds compares names with functions that pyOpenSSL is about to drop, which warn.
    with pytds.connect("localhost", port=servers.ports[name], **wanted | options) as connection, connection.cursor() as cursor:
        yield cursor


def batches() -> list[str]:
    """Return the batches of the shipped script that print a section."""
    return [batch for _, batch in script.batches()]


def script_output(cursor: Any) -> str:
    """Run the script and return its lines, as the reader expects them. Errors are written like sqlcmd's."""
    lines: list[str] = []
    for batch in batches():
        try:
            cursor.execute(batch)
        except pytds.Error as error:
            lines += [f"Msg {error.number}, Level 14, State 1, Server N1, Line 1", str(error.args[0])]
        else:
            lines += [row[0] for row in cursor.fetchall()]
    assert len(batches()) == len(SECTIONS)
    return "\n".join(lines)
