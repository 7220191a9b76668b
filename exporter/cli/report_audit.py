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
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from exporter.cli.exporter_flags import DEFAULT_URL, exporters_of
from exporter.clients.exporter_api import AccessError, ApiAccess, FetchFailure, fetch_list
from exporter.config.settings import SecretUnreadableError
from exporter.core import bounded_json
from exporter.inventory.exporter_state import fetch_state
from exporter.runtime.files import plainly
from exporter.tde.audit.choice import ChoiceError, choose_target
from exporter.tde.audit.sheet import as_text, sheet
from exporter.tde.gate.conditions import GateReason
from exporter.tde.gate.model import TargetState
from exporter.web.ui.audit import audit_document

DONE, DAMAGED, BAD_USAGE = 0, 1, 2
WEB_PREFIX: Final = "web_"  # begins the attributes of --web.user and its kind, since --prometheus.user is of the same command
_MONTH_FLAGS: Final = {
    "month": "--month",
    "start": "--from",
    "end": "--to",
    "prometheus": "--prometheus",
    "token_file": "--prometheus.token.file",
}


class DamagedSheetError(Exception):
    """The exporter's response is not an audit sheet."""


def _as_json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


FORMATS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]]] = {  # with the end of the file's name
    "text": ("txt", as_text),
    "json": ("json", _as_json),
    "html": ("html", audit_document),
}


def report_audit(args: argparse.Namespace) -> int:
    """Write or print the sheet and return the exit code."""
    try:
        _check(args)
        own = {name: getattr(args, f"{WEB_PREFIX}{name}") for name in ("user", "password_file", "ca_file")}
        accesses = exporters_of(argparse.Namespace(**{**vars(args), **own}), timeout=args.timeout, default=DEFAULT_URL)
        facts = asyncio.run(_facts(accesses, args.audit))
        _write(args, facts)
    except (AccessError, ChoiceError, SecretUnreadableError, ValueError, DamagedSheetError) as error:
        print(f"ekm-exporter report: {error}", file=sys.stderr)
        return DAMAGED if isinstance(error, DamagedSheetError) else BAD_USAGE
    return DONE


def _check(args: argparse.Namespace) -> None:
    """Refuse flags of the other report. Raises ValueError with a text for the user."""
    given = next((flag for name, flag in _MONTH_FLAGS.items() if getattr(args, name) is not None), None)
    if given is not None:
        raise ValueError(f"--audit reads a running exporter: leave out {given}")
    if args.format == "csv":
        raise ValueError("--audit has no csv: write --format text, json or html")


async def _facts(accesses: list[ApiAccess], key: str) -> Mapping[str, Any]:
    """Return the facts of the first exporter that has the key. Raises AccessError, ChoiceError and DamagedSheetError."""
    states = await asyncio.gather(*(fetch_state(access) for access in accesses))
    known: list[tuple[ApiAccess, TargetState]] = []
    for access, state in zip(accesses, states, strict=True):
        if isinstance(state, GateReason):
            raise ChoiceError(f"{state.text}: {state.fix}")
        known += [(access, target) for target in state.targets]
    chosen = choose_target(key, [target for _, target in known])
    access = next(access for access, target in known if target is chosen)
    fetched = await fetch_list(access, f"api/v1/targets/{quote(chosen.name, safe='')}/audit")
    if isinstance(fetched, FetchFailure):
        raise DamagedSheetError(f"{access.url} has no audit sheet, {fetched.cause}: is it of this version?")
    try:
        facts = bounded_json.parse(fetched.decode("utf-8"), bounded_json.MOST_OF_RESPONSE)
        sheet(facts)
    except ValueError as error:
        raise DamagedSheetError(f"{access.url} returned no audit sheet: {error}") from None
    return dict(facts)


def _write(args: argparse.Namespace, facts: Mapping[str, Any]) -> None:
    """Write every format into the folder, or print one. Raises ValueError with a text for the user."""
    if args.out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(FORMATS[args.format or "text"][1](facts).encode())
        return
    name = re.sub(r"[^A-Za-z0-9.-]", "-", f"ekm-audit-{facts['vault'].partition('.')[0]}-{facts['key']}")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for ending, render in FORMATS.values():
            path: Path = args.out / f"{name}.{ending}"
            path.write_bytes(render(facts).encode())
            print(path)
    except OSError as error:
        raise ValueError(f"--out: cannot write {args.out}: {plainly(error)}: name a folder that you may write to") from None
