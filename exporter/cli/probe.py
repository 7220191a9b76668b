"""The command `ekm-exporter probe`: one probe with a fresh token, as text, JSON, ticket or a zip file for a support case.

The zip file has the format of that of a running exporter, for hosts on which none runs or answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from exporter import __version__
from exporter.cli import check
from exporter.cli.main import BAD_USAGE, CONFIG, FAILED, FINE, INTERNAL, Command, Flag, OneOf, Refusal
from exporter.clients.entra import quiet_sdk_loggers
from exporter.clients.http.network import NetworkError
from exporter.config.settings import Config, Target
from exporter.config.usage import credentials_in_use
from exporter.core.names import is_device, nearest
from exporter.knowledge.expiry import CredentialExpiry, entra_answer, mark_wrong_dates
from exporter.knowledge.report import ProbeReport
from exporter.knowledge.tickets import TEAM_TITLES
from exporter.presentation.bundle import archive, collect_bundle
from exporter.presentation.diagnosis import Diagnosis
from exporter.presentation.payloads import Payload, probe_payload, target_details_payload, verdict_payload
from exporter.presentation.text import line, target_text, transcript
from exporter.presentation.ticket import extent_of, ticket_text
from exporter.probing.auxiliary import auxiliary_probes
from exporter.probing.expiry import ExpiryLookup
from exporter.probing.expiry_monitor import ExpiryCallbacks, ExpiryMonitor
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime import logging
from exporter.runtime.files import plainly
from exporter.runtime.loop import LoopLag
from exporter.runtime.process import computer_name, is_windows
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
            asyncio.gather(*(prober.auxiliary(plan, fresh=True) for plan in plans)),
            _expiries(config, probed, report.tenant, only=credential),
        )
    finally:
        lag.stop()
        await prober.aclose()
    answers = {probed.credential: entra_answer(report.steps, report.started_at)}
    for result in filter(None, results):
        record.add_auxiliary(result)
        answers.setdefault(result.credential, entra_answer(result.steps, report.started_at))
    marked = {name: mark_wrong_dates(name, each, answers.get(name)) for name, each in expiries.items()}
    return ProbeOnceResult(chosen=credential, report=report, record=record, expiries=marked)


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


_SHOWN_NAMES = 10  # if none is similar to the requested name
TICKET = Flag("--ticket", "print the text of a ticket for the team that repairs the failure, and nothing else")


def run(args: argparse.Namespace) -> int:
    """Probe, print or write the result, and return the exit code, which auxiliary probes do not affect."""
    config, target = configured(args)
    if args.bundle is not None and args.credential is not None:
        raise Refusal("--bundle tells what the target's own credential gets: leave out --credential")
    with contextlib.nullcontext() if args.bundle is None else _reserved(args.bundle):
        result = asyncio.run(probe_once(config, target, args.credential))
        if result is None:
            raise Refusal("no probe was made, because no thread was free to resolve a host name: try again", INTERNAL)
        now, success = time.time(), result.report.success
        if args.bundle is not None:
            record, expiries = result.record, [expiry for each in result.expiries.values() for expiry in each]
            record.history.add(result.report, 1, most_bytes=float("inf"))
            bundle = collect_bundle(config, record.target, record, expiries, version=__version__, now=now)
            args.bundle.write_bytes(archive(bundle))
    if args.bundle is not None:
        print(f"{args.bundle}: {'every step succeeded' if success else 'a step failed'}. Read the file before you send it.")
    elif args.ticket:
        print_ticket(Diagnosis(result.record.target, result.report, result.record))
    elif args.json:
        print(json.dumps(as_json(config, result, now=now), indent=2))
    else:
        print(as_text(config, result, now=now), end="")
    return FINE if success else FAILED


@contextlib.contextmanager
def _reserved(path: Path) -> Iterator[None]:
    """Create the file before the probe, so that an unusable name costs no request; remove it after a failure. Raises Refusal."""
    if is_windows() and is_device(path.name):
        raise Refusal(f"--bundle: {path}: Windows takes this name for a device: choose another name")
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        raise Refusal(f"{path} already exists: choose another name, or remove the file") from None
    except OSError as error:
        why = f"{plainly(error)}: name a file in a folder that exists and that you may write"
        raise Refusal(f"--bundle: {path}: {why}") from None
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def as_text(config: Config, result: ProbeOnceResult, *, now: float) -> str:
    """Return the result as text; `now` is a Unix time."""
    target, chosen = result.record.target, result.chosen
    first = "" if chosen is None else f"probed with credential {chosen}, without auxiliary probes\n\n"
    steps = transcript(target, result.report, vantage=config.settings.vantage, record=result.record)
    steps += ticket_hint(Diagnosis(target, result.report, result.record))
    expected = config.modules[target.module].expect_path
    return first + steps + target_text(target, result.record, result.expiries, expected, now=now, auxiliary=chosen is None)


def ticket_hint(subject: Diagnosis) -> str:
    """Return the line that names the flag `--ticket`; empty if no other team repairs the failure."""
    return "" if subject.team is None else line("ticket", f"--ticket prints the text for {TEAM_TITLES[subject.team]}") + "\n"


def print_ticket(subject: Diagnosis) -> None:
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


def configured(args: argparse.Namespace) -> tuple[Config, Target]:
    """Return the configuration and the target of the flags, and log only errors. Raises Refusal."""
    config = check.configuration(args.config_file)
    for what, name, entries in (("target", args.target, config.targets), ("credential", args.credential, config.credentials)):
        if name is not None and name not in entries:
            existing = ", ".join(list(entries)[:_SHOWN_NAMES]) + (", ..." if len(entries) > _SHOWN_NAMES else "")
            raise Refusal(f"the configuration has no {what} {name!r}{nearest(name, entries) or f'; use one of: {existing}'}")
    logging.configure("error", logging.LogFormat.LOGFMT)
    return config, config.targets[args.target]


COMMAND = Command(
    description=(
        "Probes one target of the configuration with a fresh token, and prints each step with the code that SQL Server would "
        "show. Then runs the auxiliary probes (staged credential, retained key versions, newest version, recovery vault) and "
        "looks up when the credentials expire. With --bundle, writes all of that to a zip file without secrets instead: report, "
        "transcript with masked requests and responses, versions, masked configuration. The bundle of a running exporter also has the "
        "history: download /api/v1/targets/TARGET/support-bundle. Exit code: 0 if every step succeeded, 1 if a step failed or this host is "
        "too slow for a result, 2 for bad arguments or a bad configuration. Problems found by auxiliary probes are printed as lines "
        'starting with "warning" and do not affect the exit code.'
    ),
    epilog=(
        "examples: ekm-exporter probe contoso-key0 --config.file ekm.yml; "
        "ekm-exporter probe contoso-key0 --config.file ekm.yml --bundle case.zip"
    ),
    run=run,
    flags=(
        Flag("TARGET", "name of a target in the configuration"),
        CONFIG,
        Flag(
            "--credential NAME",
            "use another credential of the configuration, such as the staged one, and run no auxiliary probes",
        ),
        OneOf(
            (
                Flag("--json", "print JSON, for scripts"),
                TICKET,
                Flag("--bundle FILE", "write a zip file for a support case; an existing file is never overwritten"),
            )
        ),
    ),
    refusals={NetworkError: BAD_USAGE},
)
