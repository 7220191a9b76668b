"""The command `ekm-exporter probe`: one probe with a fresh token, as text or JSON."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from exporter.cli import check
from exporter.cli.main import BAD_USAGE, FAILED, FINE, INTERNAL, add_flag, refuse
from exporter.clients.entra import quiet_sdk_loggers
from exporter.clients.http.network import NetworkError
from exporter.config.load import load_config
from exporter.config.settings import Config, Target
from exporter.config.usage import credentials_in_use
from exporter.core.names import nearest
from exporter.knowledge.expiry import CredentialExpiry, entra_answer, mark_wrong_dates
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.tickets import TEAM_TITLES
from exporter.knowledge.verdict import AuxiliaryResult
from exporter.presentation.payloads import Payload, probe_payload, target_details_payload, verdict_payload
from exporter.presentation.text import line, target_text, transcript
from exporter.presentation.ticket import TicketSubject, extent_of, ticket_text
from exporter.probing.auxiliary import AuxiliaryProbe, auxiliary_probes
from exporter.probing.expiry import ExpiryLookup
from exporter.probing.expiry_monitor import ExpiryCallbacks, ExpiryMonitor
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime import logging
from exporter.runtime.loop import LoopLag
from exporter.runtime.process import computer_name
from exporter.state.history import History
from exporter.state.record import TargetRecord

# One probe of a target with its auxiliary probes and expiry lookups.
#
# Each token is fresh. The auxiliary probes and the lookups run at the same time, after the probe.


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeOnceResult:
    """The results for a target. `expiries` are by credential; `chosen` is the credential of the flag `--credential`."""

    chosen: str | None
    report: ProbeReport
    record: TargetRecord
    expiries: Mapping[str, tuple[CredentialExpiry, ...]]


async def probe_once(config: Config, target: Target, credential: str | None) -> ProbeOnceResult | None:
    """Probe now; None if no probe could be made.

    Another `credential` makes the round trip instead of the target's, without auxiliary probes. Raises NetworkError if the
    trusted certificates of a module cannot be loaded.
    """
    quiet_sdk_loggers()
    probed = target if credential is None else replace(target, credential=credential)
    callbacks = ProberCallbacks(
        on_internal_error=_print_internal_error, on_shortage=lambda _shortage: None, on_token_request=lambda: None
    )
    lag = LoopLag()
    prober = Prober(config, lag=lag, callbacks=callbacks)
    lag.start()
    try:
        report = await prober.probe_on_demand(target, credential=config.credentials[probed.credential], fresh=True)
        if report is None:
            return None
        record = TargetRecord(probed, History(1))
        record.add_report(report)
        today = datetime.fromtimestamp(report.started_at, UTC).date()
        plans = auxiliary_probes(config, target, report.key, today) if credential is None else ()
        results, expiries = await asyncio.gather(
            _auxiliary_results(prober, plans), _expiries(config, probed, report.tenant, only=credential)
        )
    finally:
        lag.stop()
        await prober.aclose()
    answers = {probed.credential: entra_answer(report.steps, report.started_at)}
    for result in results:
        record.add_auxiliary(result)
        answers.setdefault(result.credential, entra_answer(result.steps, report.started_at))
    marked = {name: mark_wrong_dates(name, each, answers.get(name)) for name, each in expiries.items()}
    return ProbeOnceResult(chosen=credential, report=report, record=record, expiries=marked)


async def _auxiliary_results(prober: Prober, plans: tuple[AuxiliaryProbe, ...]) -> list[AuxiliaryResult]:
    results = await asyncio.gather(*(prober.auxiliary(plan, fresh=True) for plan in plans))
    return [result for result in results if result is not None]


async def _expiries(
    config: Config, target: Target, tenant: str | None, *, only: str | None
) -> dict[str, tuple[CredentialExpiry, ...]]:
    """Look up the expiry of the target's credentials, or of `only` one. Identities that never expire are left out."""
    names = {only} if only is not None else credentials_in_use(replace(config, targets={target.name: target}))
    expiring = sorted(name for name in names if config.credentials[name].may_expire)
    lookup = ExpiryLookup(config, requested=lambda _endpoint, _count: None, tenant_of=lambda _target: tenant)
    monitor = ExpiryMonitor(config, lookup, ExpiryCallbacks(on_internal_error=_print_internal_error))
    try:
        found = await asyncio.gather(*(monitor.look_up(name, target.name) for name in expiring))
    finally:
        await monitor.aclose()
    return dict(zip(expiring, found, strict=True))


def _print_internal_error(error: BaseException) -> None:
    print(f"ekm-exporter: internal error: {type(error).__name__}", file=sys.stderr)


T = TypeVar("T")

_SHOWN_NAMES = 10  # if none is similar to the requested name
TICKET_HELP = "print the text of a ticket for the team that repairs the failure, and nothing else"
NO_PROBE = "ekm-exporter: no probe was made, because no thread was free to resolve a host name: try again"


DESCRIPTION = (
    "Probes one target of the configuration with a fresh token, and prints each step with the code that SQL Server would "
    "show. Then runs the auxiliary probes (staged credential, retained key versions, newest version, recovery vault) and "
    "looks up when the credentials expire. Exit code: 0 if every step succeeded, 1 if a step failed or this host is too slow for "
    'a result, 2 for bad arguments or a bad configuration. Problems found by auxiliary probes are printed as lines starting with "warning" and do not '
    "affect the exit code."
)
EPILOG = "example: ekm-exporter probe contoso-key0 --config.file ekm.yml"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="TARGET", help="name of a target in the configuration")
    add_flag(parser, "--config.file FILE", "the configuration", required=True)
    add_flag(
        parser,
        "--credential NAME",
        "use another credential of the configuration, such as the staged one, and run no auxiliary probes",
    )
    add_output_flags(parser)


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags `--json` and `--ticket`, which exclude each other."""
    either = parser.add_mutually_exclusive_group()
    add_flag(either, "--json", "print JSON, for scripts")
    add_flag(either, "--ticket", TICKET_HELP)


def run(args: argparse.Namespace) -> int:
    """Probe, print and return the exit code, which auxiliary probes do not affect."""
    found = configured(args, args.credential)
    if found is None:
        return BAD_USAGE
    config, target = found
    logging.configure("error", logging.LogFormat.LOGFMT)
    try:
        result = asyncio.run(probe_once(config, target, args.credential))
    except NetworkError as error:
        return refuse(error)
    if result is None:
        print(NO_PROBE, file=sys.stderr)
        return INTERNAL
    if args.ticket:
        print_ticket(TicketSubject(target=result.record.target, report=result.report, record=result.record))
    elif args.json:
        print(json.dumps(as_json(config, result, now=time.time()), indent=2))
    else:
        print(as_text(config, result, now=time.time()), end="")
    return FINE if result.report.success else FAILED


def as_text(config: Config, result: ProbeOnceResult, *, now: float) -> str:
    """Return the result as text; `now` is a Unix time."""
    target, chosen = result.record.target, result.chosen
    first = "" if chosen is None else f"probed with credential {chosen}, without auxiliary probes\n\n"
    steps = transcript(target, result.report, vantage=config.settings.vantage, record=result.record)
    steps += ticket_hint(TicketSubject(target=target, report=result.report, record=result.record))
    expected = config.modules[target.module].expect_path
    return first + steps + target_text(target, result.record, result.expiries, expected, now=now, auxiliary=chosen is None)


def ticket_hint(subject: TicketSubject) -> str:
    """Return the line that names the flag `--ticket`; empty if no other team repairs the failure."""
    return "" if subject.team is None else line("ticket", f"--ticket prints the text for {TEAM_TITLES[subject.team]}") + "\n"


def print_ticket(subject: TicketSubject) -> None:
    """Print the ticket alone, or why there is none on stderr."""
    text = ticket_text(subject, extent_of(subject), computer_name())
    print(text, end="")
    if not text:
        print(f"ekm-exporter: no ticket: {subject.why_no_team}", file=sys.stderr)


def as_json(config: Config, result: ProbeOnceResult, *, now: float) -> Payload:
    """Return the result as JSON data; `now` is a Unix time."""
    target = result.record.target
    expiries = [expiry for each in result.expiries.values() for expiry in each]
    return {
        **probe_payload(target, result.report),
        "credential": target.credential,
        **verdict_payload(result.report.readiness, config.settings.vantage),
        **target_details_payload(target, result.record, expiries, config.modules[target.module].expect_path, now=now),
    }


def configured(args: argparse.Namespace, credential: str | None = None) -> tuple[Config, Target] | None:
    """Return the configuration and the target of the flags; None after printing what is wrong or unknown."""
    loaded = load_config(args.config_file)
    if loaded.config is None:
        check.print_findings(loaded)
        return None
    target = _find_named(loaded.config.targets, args.target, "target")
    if target is None or (credential is not None and _find_named(loaded.config.credentials, credential, "credential") is None):
        return None
    return loaded.config, target


def _find_named(entries: Mapping[str, T], name: str, what: str) -> T | None:
    """Return the entry of that name; None after printing similar or existing names."""
    if name in entries:
        return entries[name]
    existing = ", ".join(list(entries)[:_SHOWN_NAMES]) + (", ..." if len(entries) > _SHOWN_NAMES else "")
    hint = nearest(name, entries) or f"; use one of: {existing}"
    print(f"ekm-exporter: the configuration has no {what} {name!r}{hint}", file=sys.stderr)
    return None
