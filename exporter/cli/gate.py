"""The command `ekm-exporter gate`: may these SQL Servers restart tonight?

Reads the API of running exporters and the inventory's file; probes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from exporter.cli.flags import DEFAULT_URL, exporter_flags, exporters_of, time_limit
from exporter.cli.main import BAD_USAGE, FAILED, FINE, Command, Flag, OneOf
from exporter.clients.peers import SQL_SERVERS, TARGETS, AccessError, ApiAccess, FetchFailure, FetchProblem, fetch_list
from exporter.config.settings import SecretUnreadableError
from exporter.core import durations
from exporter.inventory.folder import FACTS, Folder, FolderError, read_facts
from exporter.runtime.files import plainly
from exporter.sqlserver.gate.assess import assess
from exporter.sqlserver.gate.conditions import Condition, ExporterState, GateReason, reason
from exporter.sqlserver.gate.exporters import read_readings, read_state
from exporter.sqlserver.gate.inputs import Inventory, Question
from exporter.sqlserver.gate.readiness import EVIDENCE
from exporter.sqlserver.gate.render import as_json, as_text
from exporter.sqlserver.reading import SqlServerReading

# The targets of a running exporter, and what it read of SQL Servers.
#
# `gate` and `inventory` use both.

_T = TypeVar("_T")
_CONDITIONS: Mapping[FetchProblem, Condition] = {
    "unreachable": "exporter_unreachable",
    "refused": "exporter_refuses",
    "missing": "exporter_foreign",
    "foreign": "exporter_foreign",
}


async def fetch_each(fetch: Callable[[ApiAccess], Awaitable[_T]], accesses: Iterable[ApiAccess]) -> list[_T]:
    """Request all exporters at the same time. Raises AccessError."""
    return await asyncio.gather(*map(fetch, accesses))


async def fetch_exporter(access: ApiAccess) -> ExporterState | GateReason:
    """Return targets and readings of the exporter, or why targets are not known. Raises AccessError."""
    state, readings = await asyncio.gather(fetch_state(access), fetch_readings(access))
    if isinstance(state, GateReason):
        return state
    return replace(state, unread=readings) if isinstance(readings, GateReason) else replace(state, readings=readings)


async def fetch_state(access: ApiAccess) -> ExporterState | GateReason:
    """Return the targets of the exporter, or why they are not known. Raises AccessError."""
    fetched, url = await fetch_list(access, TARGETS), access.url.rstrip("/")
    return _failed(fetched, url) if isinstance(fetched, FetchFailure) else read_state(fetched, url)


async def fetch_readings(access: ApiAccess) -> tuple[SqlServerReading, ...] | GateReason:
    """Return what the exporter read of its SQL Servers, or why that is not known. Raises AccessError."""
    fetched, url = await fetch_list(access, SQL_SERVERS), access.url.rstrip("/")
    if isinstance(fetched, FetchFailure):
        if fetched.problem == "missing":
            return reason("exporter_old", url=url, field=f"/{SQL_SERVERS}")
        return _failed(fetched, url)
    return read_readings(fetched, url)


def _failed(failure: FetchFailure, url: str) -> GateReason:
    return reason(_CONDITIONS[failure.problem], url=url, cause=failure.cause)


# The instances of the inventory's file, for the gate.


def read_inventory(path: Path) -> Inventory | GateReason:
    """Read `inventory.json`, or the one of a folder; a missing or damaged file is a reason."""
    folder = path if path.name != FACTS else path.parent
    file = folder / FACTS
    try:
        if not file.exists():
            return reason("inventory_missing", path=str(file), folder=str(folder))
        facts = read_facts(Folder(folder, {}, (), ()))
        return Inventory(tuple(facts.documents.values()), tuple(facts.loose), facts.compared, facts.established)
    except FolderError as error:
        return reason("inventory_unusable", cause=str(error), folder=str(folder))
    except OSError as error:
        return reason("inventory_unusable", cause=f"{file}: {plainly(error)}", folder=str(folder))


# Flag, field of the question, default, help.
_LIMITS = (
    ("--for", "ready_for", "1h", "how long each target must have been ready"),
    ("--window", "window", "24h", "no credential may expire within this time"),
    ("--inventory-age", "inventory_age", "35d", "an older reading in the inventory's file counts as not known"),
    ("--unwrap-age", "unwrap_age", "15m", "an older last unwrap of a target counts as not known"),
    ("--reading-age", "reading_age", "1h", "an older section of an exporter's reading counts as not known"),
    ("--proof-age", "proof_age", "35d", "an older last proof by SQL Server itself counts as not known"),
)


def _accepted(text: str) -> tuple[str, str]:
    row, _, node = text.partition("@")
    if row not in EVIDENCE or not node:
        raise ValueError(f"must be ROW@NODE, with one of these rows: {', '.join(EVIDENCE)}")
    return row, node


def run(args: argparse.Namespace) -> int:
    """Print the answer and return the exit code."""
    accesses = exporters_of(args, timeout=args.timeout, default=DEFAULT_URL)
    question = Question(
        instances=tuple(args.instance or ()),
        group=args.ag,
        every=args.all,
        vault_side=args.vault_side,
        accepted=tuple(args.accept),
        **{name: getattr(args, name) for _, name, _, _ in _LIMITS},
        folder=str(args.inventory.parent if args.inventory.name == FACTS else args.inventory),
    )
    inventory = read_inventory(args.inventory)
    states = asyncio.run(fetch_each(fetch_exporter, accesses))
    requested = {access.url.rstrip("/"): state for access, state in zip(accesses, states, strict=True)}
    answer = assess(question, inventory, requested, now=time.time())
    print(json.dumps(as_json(answer), indent=2) if args.json else as_text(answer).rstrip("\n"))
    return FINE if answer.verdict == "ready" else FAILED


COMMAND = Command(
    description=(
        "Reads which databases and keys each instance has (readings of the exporters, and targets.d/inventory.json of the command "
        "inventory), and the state of each key from running exporters. Exit code: 0 if every key is ready and was for an hour, SQL Server "
        "itself proved it, no credential expires within a day, and the restart stays below the vault's request limit; 1 with reasons "
        "otherwise, also if something is not known; 2 for bad arguments."
    ),
    epilog=r"examples: ekm-exporter gate --instance n1\SQLPRD01; ekm-exporter gate --ag AG7 --urls exporters.txt --json",
    run=run,
    flags=(
        OneOf(
            (
                Flag(
                    "--instance NAME",
                    r"INSTANCE or HOST\INSTANCE that restarts; may be repeated. Without a host, every instance of that name",
                    action="append",
                ),
                Flag("--ag NAME", "every server of this availability group"),
                Flag("--all", "every instance that is known, by a reading or the inventory"),
            ),
            required=True,
        ),
        Flag("--json", "print JSON, for pipelines"),
        Flag(
            "--vault-side", "the narrower question: whether the vault gives the keys. What SQL Server itself proved is not asked"
        ),
        Flag(
            "--accept ROW@NODE",
            "what you vouch for: a row of the evidence that is not known of a node, as nodes@N2; may be repeated, and is printed",
            action="append",
            type=_accepted,
            default=[],
        ),
        *exporter_flags(f"an exporter that probes the targets (default {DEFAULT_URL}); may be repeated"),
        Flag(
            "--inventory PATH",
            f"folder of the inventory, or its {FACTS} (default targets.d)",
            type=Path,
            default=Path("targets.d"),
        ),
        Flag("--timeout DURATION", "for the response of each exporter (default 30s)", type=time_limit, default=30.0),
        *(
            Flag(
                f"{name} DURATION",
                f"{words} (default {default})",
                dest=attribute,
                type=durations.parse,
                default=durations.parse(default),
            )
            for name, attribute, default, words in _LIMITS
        ),
    ),
    refusals=dict.fromkeys((AccessError, SecretUnreadableError), BAD_USAGE),
)
