"""The command `ekm-exporter audit`: the audit sheet of one key, from the facts of a running exporter.

Requests nothing of Azure, SQL Server or Prometheus.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from exporter.cli.flags import DEFAULT_URL, Render, exporter_flags, exporters_of, time_limit, write_formats
from exporter.cli.gate import fetch_each, fetch_state
from exporter.cli.main import BAD_USAGE, FAILED, FINE, Command, Flag, Refusal, refuse_if
from exporter.clients.peers import AccessError, ApiAccess, FetchFailure, fetch_list
from exporter.config.settings import SecretUnreadableError
from exporter.core import json as core_json
from exporter.sqlserver.audit import ChoiceError, UnknownKeyError, as_text, choose_target, sheet
from exporter.sqlserver.gate.conditions import GateReason, TargetState
from exporter.web.pages.html import audit_document

UNANSWERED = 3  # no exporter that answers has the key, and one does not answer
FORMATS: Final[Mapping[str, Render[Mapping[str, Any]]]] = {
    "text": as_text,
    "json": lambda facts: json.dumps(facts, indent=2, ensure_ascii=False) + "\n",
    "html": audit_document,
}


def run(args: argparse.Namespace) -> int:
    """Write or print the sheet and return the exit code."""
    refuse_if((args.out is not None and args.format is not None, "--out writes every format: leave out --format"))
    facts = asyncio.run(_facts(exporters_of(args, timeout=args.timeout, default=DEFAULT_URL), args.key))
    name = re.sub(r"[^A-Za-z0-9.-]", "-", f"ekm-audit-{facts['vault'].partition('.')[0]}-{facts['key']}")
    write_formats(args, name, "text", FORMATS, facts)
    return FINE


async def _facts(accesses: list[ApiAccess], key: str) -> Mapping[str, Any]:
    """Return the facts of the first exporter that has the key. Raises each refusal of this command."""
    access, chosen = await _chosen(accesses, key)
    fetched = await fetch_list(access, f"api/v1/targets/{quote(chosen.name, safe='')}/audit")
    if isinstance(fetched, FetchFailure):
        if fetched.problem == "unreachable":
            raise Refusal(f"{access.url} does not answer any more, {fetched.cause}: try again", UNANSWERED)
        raise Refusal(f"{access.url} has no audit sheet, {fetched.cause}: is it of this version?", FAILED)
    try:
        facts = core_json.parse(fetched.decode("utf-8"), core_json.MOST_OF_RESPONSE)
        sheet(facts)
    except ValueError as error:
        raise Refusal(f"{access.url} returned no audit sheet: {error}", FAILED) from None
    return dict(facts)


async def _chosen(accesses: list[ApiAccess], key: str) -> tuple[ApiAccess, TargetState]:
    """Return the first exporter that has the key, with its target. Raises AccessError, ChoiceError and Refusal."""
    states = await fetch_each(fetch_state, accesses)
    failures = [f"{state.text}: {state.fix}" for state in states if isinstance(state, GateReason)]
    answered = [(access, state) for access, state in zip(accesses, states, strict=True) if not isinstance(state, GateReason)]
    known = [(access, target) for access, state in answered for target in state.targets]
    try:
        chosen = choose_target(key, [target for _, target in known])
    except UnknownKeyError as error:
        if failures:
            raise Refusal("; ".join([*([str(error)] if known else []), *failures]), UNANSWERED) from None
        raise
    return next((access, target) for access, target in known if target is chosen)


COMMAND = Command(
    description=(
        "Prints the sheet of one key for a security officer, from a running exporter: who may use it, who did, when it was last proven, "
        "and what expires. Exit code: 0 if an exporter has the key; 1 if its answer is damaged; 2 for bad arguments or an unknown key; "
        "3 if no exporter that answers has the key, and one does not answer."
    ),
    epilog="example: ekm-exporter audit contoso-key0 --format html > audit.html",
    run=run,
    flags=(
        Flag("KEY", "the key, by a target's name, KEY/VERSION or the key's URI"),
        *exporter_flags(f"an exporter that probes the key; repeatable (default {DEFAULT_URL})"),
        Flag("--out FOLDER", "write all formats as ekm-audit-VAULT-KEY.* into this folder"),
        Flag("--format", "without --out: the format to print (default text)", choices=[*FORMATS]),
        Flag("--timeout DURATION", "for each response (default 2m)", type=time_limit, default=120.0),
    ),
    refusals=dict.fromkeys((AccessError, ChoiceError, SecretUnreadableError), BAD_USAGE),
)
