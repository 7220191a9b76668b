"""`ekm-exporter report --audit KEY`: the audit sheet of one key, from the facts of a running exporter.

Requests nothing of Azure, SQL Server or Prometheus.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from exporter.cli.flags import DEFAULT_URL, exporters_of, write_formats
from exporter.cli.gate import fetch_each, fetch_state
from exporter.cli.main import BAD_USAGE, FAILED, FINE, refuse
from exporter.clients.peers import AccessError, ApiAccess, FetchFailure, FetchProblem, fetch_list
from exporter.config.settings import SecretUnreadableError
from exporter.core import json as core_json
from exporter.sqlserver.audit import ChoiceError, UnknownKeyError, as_text, choose_target, sheet
from exporter.sqlserver.gate.conditions import GateReason, TargetState
from exporter.web.pages.html import audit_document

UNANSWERED = 3


class DamagedSheetError(Exception):
    """The exporter's response is not an audit sheet."""


class UnansweredError(Exception):
    """No exporter that answers has the key, and one does not answer."""


FORMATS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "text": as_text,
    "json": lambda facts: json.dumps(facts, indent=2, ensure_ascii=False) + "\n",
    "html": audit_document,
}
_ENDINGS = {"text": "txt"}  # of a file, if it is not the name of the format

_EXIT_CODES: Final[Mapping[type[Exception], int]] = {
    DamagedSheetError: FAILED,
    UnansweredError: UNANSWERED,
    AccessError: BAD_USAGE,
    ChoiceError: BAD_USAGE,
    SecretUnreadableError: BAD_USAGE,
    ValueError: BAD_USAGE,
}


def report_audit(args: argparse.Namespace) -> int:
    """Write or print the sheet and return the exit code."""
    try:
        _check(args)
        accesses = exporters_of(args, timeout=args.timeout, default=DEFAULT_URL)
        _write(args, asyncio.run(_facts(accesses, args.audit)))
    except tuple(_EXIT_CODES) as error:
        refuse(error, "report")
        return next(code for kind, code in _EXIT_CODES.items() if isinstance(error, kind))
    return FINE


def _check(args: argparse.Namespace) -> None:
    """Refuse flags of the other report. Raises ValueError with a text for the user."""
    if (flag := args.period_flags.first_given(args)) is not None:
        raise ValueError(f"--audit reads a running exporter: leave out {flag}")
    if args.format == "csv":
        raise ValueError("--audit has no csv: write --format text, json or html")
    if args.out is not None and args.format is not None:
        raise ValueError("--out writes every format: leave out --format")


async def _facts(accesses: list[ApiAccess], key: str) -> Mapping[str, Any]:
    """Return the facts of the first exporter that has the key. Raises each error of this command but ValueError."""
    access, chosen = await _chosen(accesses, key)
    fetched = await fetch_list(access, f"api/v1/targets/{quote(chosen.name, safe='')}/audit")
    if isinstance(fetched, FetchFailure):
        if fetched.problem is FetchProblem.UNREACHABLE:
            raise UnansweredError(f"{access.url} does not answer any more, {fetched.cause}: try again")
        raise DamagedSheetError(f"{access.url} has no audit sheet, {fetched.cause}: is it of this version?")
    try:
        facts = core_json.parse(fetched.decode("utf-8"), core_json.MOST_OF_RESPONSE)
        sheet(facts)
    except ValueError as error:
        raise DamagedSheetError(f"{access.url} returned no audit sheet: {error}") from None
    return dict(facts)


async def _chosen(accesses: list[ApiAccess], key: str) -> tuple[ApiAccess, TargetState]:
    """Return the first exporter that has the key, with its target. Raises AccessError, ChoiceError and UnansweredError."""
    states = await fetch_each(fetch_state, accesses)
    known: list[tuple[ApiAccess, TargetState]] = []
    failures: list[str] = []
    for access, state in zip(accesses, states, strict=True):
        if isinstance(state, GateReason):
            failures.append(f"{state.text}: {state.fix}")
        else:
            known += [(access, target) for target in state.targets]
    try:
        chosen = choose_target(key, [target for _, target in known])
    except UnknownKeyError as error:
        if failures:
            raise UnansweredError("; ".join([*([str(error)] if known else []), *failures])) from None
        raise
    return next((access, target) for access, target in known if target is chosen)


def _write(args: argparse.Namespace, facts: Mapping[str, Any]) -> None:
    """Write every format into the folder, or print one. Raises ValueError with a text for the user."""
    if args.out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(FORMATS[args.format or "text"](facts).encode())
        return
    name = re.sub(r"[^A-Za-z0-9.-]", "-", f"ekm-audit-{facts['vault'].partition('.')[0]}-{facts['key']}")
    write_formats(args.out, name, {_ENDINGS.get(form, form): render for form, render in FORMATS.items()}, facts)
