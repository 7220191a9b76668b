"""One probe, its requests and what is known of its target as plain text, for a terminal, `debug=true` and the pages.

All values were masked when they were read. Requests are rebuilt from the configuration of the probe, responses from the facts of
the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from exporter.config.settings import Credential, ExpectPath, Target
from exporter.config.usage import configured_auxiliary, names_of, names_of_auxiliary
from exporter.core.durations import moment
from exporter.core.values import CredentialKind, Facts, KeyFacts, Outcome, Step, Vantage, VaultHeaders
from exporter.explain.explanation import wrap
from exporter.knowledge.advice import advise, open_detail
from exporter.knowledge.code_row import REWRITTEN, WRITE_SECRET, Owner
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.names import fill_names
from exporter.knowledge.reason_row import Reply
from exporter.knowledge.reasons_vault import RECOVER_KEY
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.tickets import COMMAND_AT_END, who_repairs
from exporter.knowledge.verdict import (
    KEY_REFUSED,
    NOT_TESTED,
    WHY,
    AuxiliaryKind,
    AuxiliaryResult,
    Identity,
    deciding_failure,
    discarded_text,
    readiness_text,
    version_fault,
)
from exporter.presentation.diagnosis import Diagnosis
from exporter.state.history import ProbeContext
from exporter.state.record import TargetRecord, unsteady_at

Line = tuple[str, str]
_INDENT, _LABEL_WIDTH = "  ", 15
VAULTS = 10  # that one action names, at most

BEARER = "Authorization: Bearer <token>"
_VALUE = "<32 random bytes>"
# These kinds send a request to Entra ID; the others use their platform.
_SIGN_IN: Mapping[CredentialKind, str] = {
    CredentialKind.CLIENT_SECRET: "client_secret=<secret>",
    CredentialKind.CONNECTOR_SECRET: "client_secret=<secret>",
    CredentialKind.CLIENT_CERTIFICATE: "client_assertion=<signed with the certificate>",
    CredentialKind.WORKLOAD_IDENTITY: "client_assertion=<token of the service account>",
}
ANSWERS: Mapping[bool | None, str] = {True: "yes", False: "no", None: "unknown"}
_DAY = 86400.0
_NOUNS: Mapping[AuxiliaryKind, str] = {
    AuxiliaryKind.NEXT: "staged credential",
    AuxiliaryKind.RETAINED: "retained version",
    AuxiliaryKind.RECOVERY: "recovery vault",
    AuxiliaryKind.NEWEST: "newest version of",
}
_SAME_CAUSE = "The cause and its actions are stated above."
# The consequence of an unusable result.
_CONSEQUENCES: Mapping[AuxiliaryKind, str] = {
    AuxiliaryKind.NEXT: "Do not give it to SQL Server yet.",
    AuxiliaryKind.RETAINED: "Backups that need this key version could not be restored.",
    AuxiliaryKind.RECOVERY: "It could not replace a lost vault.",
    AuxiliaryKind.NEWEST: "",
}
_MARKS: Mapping[AuxiliaryKind, str] = {
    AuxiliaryKind.NEXT: "staged credential refused",
    AuxiliaryKind.RETAINED: "retained version unusable",
    AuxiliaryKind.RECOVERY: "recovery vault unusable",
}


def transcript(target: Target, report: ProbeReport, *, vantage: Vantage, record: TargetRecord | None = None) -> str:
    """Return the whole probe as text, ending with a line break.

    The text shows target, verdict, each step, and the advice for the deciding failure. `record` holds the auxiliary results.
    """
    lines = [line(*each) for each in probe_lines(target, report, vantage=vantage)]
    for result in report.steps:
        took = "" if result.outcome is Outcome.SKIPPED else seconds(result.duration)
        headline = f"{result.step.value:<{_LABEL_WIDTH}} {result.outcome.value:<8} {took}".rstrip()
        lines += ["", headline, *(line(*each, indent=_INDENT) for each in facts_of(result))]
    if deciding_failure(report) is not None:
        lines += ["", *(wrapped(*each) for each in _advice_lines(target, report, record))]
    return "\n".join(lines) + "\n"


def probe_lines(target: Target, report: ProbeReport, *, vantage: Vantage) -> list[Line]:
    """Return target, time, result and verdict of a probe."""
    result = "every step succeeded and the bytes came back equal" if report.success else "failed"
    slow = "the exporter was slow during this probe: the times include its own delay"
    return known_lines(
        ("target", target.name),
        ("SQL Servers", what_depends(target)),
        ("vault", target.vault),
        ("key", target.key),
        ("credential", target.credential),
        ("started", moment(report.started_at)),
        ("took", seconds(report.duration)),
        ("result", discarded_text(report.readiness) if report.discarded else result),
        ("verdict", readiness_text(report.readiness, vantage)),
        ("not tested", NOT_TESTED),
        ("note", slow if any(step.disturbed for step in report.steps) else None),
    )


def known_lines(*named: tuple[str, str | int | None]) -> list[Line]:
    """Return the lines that have a value."""
    return [(label, str(value)) for label, value in named if value not in (None, "")]


def facts_of(result: StepResult) -> list[Line]:
    """Return the known facts of a step, code and reason first."""
    facts, has_failed = result.facts or Facts(), result.outcome is Outcome.FAILED
    entry = None if result.code is None else BY_CODE.get(result.code)
    symbol = "" if entry is None else f" {entry.symbol}"
    shared = "the token comes from a request that several targets share; its time is not this probe's"
    return known_lines(
        ("code", both_numbers(result.code) + symbol if has_failed and result.code is not None else None),
        ("reason", None if result.reason is None else result.reason.value),
        ("shared", shared if result.shared else None),
        ("HTTP status", facts.status),
        ("service code", facts.service_code),
        ("inner code", facts.inner_code),
        ("Entra error", None if facts.aadsts is None else f"AADSTS{facts.aadsts}"),
        ("vault message", None if facts.akv is None else f"AKV{facts.akv}"),
        ("retry after", None if facts.retry_after_seconds is None else seconds(facts.retry_after_seconds)),
        ("request id", facts.request_id),
        ("correlation id", facts.correlation_id),
        ("client address", facts.client_address),
        ("object id", facts.object_id),
        ("endpoint", facts.endpoint),
        ("issuer", facts.refused_issuer),
        ("resent", "yes, on a new connection: the far side had closed the kept one" if facts.resent else None),
        ("phase reached", facts.phase_reached.value if facts.phase_reached and has_failed else None),
        ("exception", facts.exception),
        ("detail", facts.detail),
        ("phases", "  ".join(f"{phase.value} {seconds(took)}" for phase, took in facts.phases.items())),
    )


def what_depends(target: Target) -> str:
    """Return the declared SQL Servers that depend on the target; empty without any.

    An example is `SQLPRD01 (host n1, ag AG7), SQLPRD02`.
    """
    servers = map(what_an_instance_is, target.instances)
    return ", ".join(server + (f" ({others})" if others else "") for server, others in servers)


def what_an_instance_is(labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of a declared SQL Server, and its other labels as text."""
    return labels.get("sql_instance", ""), ", ".join(
        f"{name} {value}" for name, value in labels.items() if name != "sql_instance"
    )


def vault_actions(actions: Sequence[str], *, vaults: int) -> tuple[str, tuple[str, ...]]:
    """Return the action of several vaults as a sentence and its commands, one for each vault.

    `actions` are those of the first `VAULTS` of all `vaults`, each once. A single action has its command in the sentence.
    """
    if len(actions) == 1:
        return actions[0], ()
    commands = tuple(dict.fromkeys(span for each in actions for span in COMMAND_AT_END.findall(each)))
    others = f" The pages of the targets have those of {vaults - VAULTS:,} more vaults." if vaults > VAULTS else ""
    return f"{COMMAND_AT_END.sub('', actions[0])} One line for each vault.{others}", commands


def _advice_lines(target: Target, report: ProbeReport, record: TargetRecord | None = None) -> list[Line]:
    """Return meaning, actions and owner of the deciding failure with a code.

    The likely causes of the code follow only if the probe did not observe the cause.
    """
    diagnosis = Diagnosis(target, report, record)
    failure, advice = diagnosis.failure, diagnosis.advice()
    if failure is None or failure.code is None or advice is None:
        return []
    entry, reason = BY_CODE[failure.code], failure.reason
    # The connection itself shows its cause, and no other one is likely.
    is_observed = reason is not None and (not reason.row.is_open or reason.row.reply_at(failure.step) is Reply.NONE)
    is_rewritten = advice.owner is Owner.NETWORK and entry.owner is not advice.owner
    likely = () if is_observed else (REWRITTEN,) if is_rewritten else entry.causes
    return known_lines(
        ("code", f"{both_numbers(failure.code)} {entry.symbol}"),
        ("meaning", advice.happened),
        ("effect", advice.means),
        *(("do", action) for action in advice.actions),
        *(("likely cause", each) for each in likely),
        ("owner", f"{advice.owner}: {who_repairs(failure, entry.owner)}"),
    )


def seconds(duration: float) -> str:
    """Return a duration as text: in milliseconds below one second."""
    return f"{duration:.3f} s" if duration >= 1 else f"{duration * 1000:.1f} ms"


def line(label: str, value: str, *, indent: str = "") -> str:
    """Return a label and its value in columns, on one line."""
    return f"{indent}{label:<{_LABEL_WIDTH - len(indent)}} {value}"


def wrapped(label: str, value: str, *, indent: str = "") -> str:
    """Return a label and its value in columns, wrapped at terminal width. A longer `code` span stays whole."""
    return wrap(value, first=f"{indent}{label:<{_LABEL_WIDTH - len(indent)}} ", rest=" " * (_LABEL_WIDTH + 1))


def exchanges(context: ProbeContext, report: ProbeReport) -> Iterator[tuple[Step, list[str]]]:
    """Yield the exchange of each step that was not skipped, in order: sent lines after `> `, received ones after `< `."""
    for result in report.steps:
        if result.outcome is not Outcome.SKIPPED:
            request = _request(context, report, result) if result.sent else ["(no request left this host)"]
            # The transcript has the conclusions of the exporter.
            own = ("code", "reason", "shared", "phases", "endpoint")
            response = [f"{name}: {value}" for name, value in facts_of(result) if name not in own] or ["(nothing)"]
            yield result.step, [*(f"> {each}" for each in request), *(f"< {each}" for each in response)]


def _request(context: ProbeContext, report: ProbeReport, result: StepResult) -> list[str]:
    target, module, step = context.target, context.module, result.step
    if step is Step.TOKEN:
        return _sign_in(context.credential, report, result)
    query = f"?api-version={quote(module.api_version, safe='')}"
    if step is Step.CHALLENGE:
        return [f"GET https://{target.vault}/keys{query}"]
    key = f"https://{target.vault}/keys/{quote(target.key_name, safe='')}"
    if step is Step.GET_KEY:  # as requested: without a version, if none is pinned
        version = f"/{quote(target.key_version, safe='')}" if target.key_version else ""
        return [f"GET {key}{version}{query}", BEARER]
    version = quote((target.key_version if report.key is None else report.key.version) or "", safe="")
    operation = "/".join(filter(None, (key, version, step.value.replace("_", ""))))
    return [f"POST {operation}{query}", BEARER, f'{{"alg": "{module.algorithm}", "value": "{_VALUE}"}}']


def _sign_in(credential: Credential, report: ProbeReport, result: StepResult) -> list[str]:
    proof = _SIGN_IN.get(credential.kind)
    host = None if result.facts is None else result.facts.endpoint
    if proof is None or host is None:
        return [f"a token, by {credential.kind.value}"]
    tenant = report.tenant or credential.tenant_id or "<tenant>"
    client = credential.client_id or "<client id>"
    return [
        f"POST https://{host.removesuffix(':443')}/{tenant}/oauth2/v2.0/token",
        f"grant_type=client_credentials&client_id={client}&{proof}&scope=<resource of the challenge>/.default",
    ]


def auxiliary_results(target: Target, record: TargetRecord, *, now: float) -> tuple[tuple[Identity, AuxiliaryResult | None], ...]:
    """Return the configured auxiliary probes, each with its last result."""
    today = datetime.fromtimestamp(now, UTC).date()
    return tuple((identity, record.auxiliary.get(identity)) for identity in configured_auxiliary(target, today))


def title(target: Target, identity: Identity) -> str:
    """Return the subject of an auxiliary probe. An example is `retained version Key0/0123 in old.vault.azure.net`."""
    kind, name, vault = identity
    elsewhere = "" if vault == target.vault or kind in (AuxiliaryKind.RECOVERY, AuxiliaryKind.NEWEST) else f" in {vault}"
    return f"{_NOUNS[kind]} {name}{elsewhere}"


def answer(result: AuxiliaryResult | None) -> str:
    """Return whether the probed thing can be used: `yes`, `no` or `unknown`."""
    return ANSWERS[None if result is None else result.usable]


def reason_text(record: TargetRecord, identity: Identity, result: AuxiliaryResult | None) -> str:
    """Return why the result is `no` or `unknown`; empty after `yes`."""
    if result is None:
        waits = identity[0] is AuxiliaryKind.RECOVERY and record.key is None
        return "the key that the recovery vault must hold is not read yet" if waits else "not probed yet"
    if result.failure is not None:
        return _failed(result.failure)
    if result.usable is not None:  # no step failed: the version itself cannot be used
        return "" if result.usable else version_fault(result.key, result.at)
    unwrapped = any(step.step is Step.UNWRAP_KEY and step.outcome is Outcome.OK for step in result.steps)
    return WHY["identity_of_another_host"] if unwrapped else "unwrap was not tested"


def _failed(failure: StepResult) -> str:
    """Return a failed step as one line.

    An example is `step token failed with 3303 ErrorGetTokenBadCredentials, reason secret_expired`.
    """
    entry = None if failure.code is None else BY_CODE.get(failure.code)
    code = "" if failure.code is None else f" with {both_numbers(failure.code)}"
    symbol = "" if entry is None else f" {entry.symbol}"
    reason = "" if failure.reason is None else f", reason {failure.reason.value}"
    detail = open_detail(failure)
    return f"step {failure.step.value} failed{code}{symbol}{reason}" + (f": {detail}" if detail else "")


def auxiliary_actions(
    target: Target, record: TargetRecord, results: Iterable[tuple[Identity, AuxiliaryResult | None]]
) -> Iterator[tuple[Identity, AuxiliaryResult | None, tuple[str, ...]]]:
    """Yield each auxiliary probe with its actions in their order, with real names in commands; none without a failure.

    If the same cause was stated before, a reference replaces the actions. An auxiliary probe never keeps a database closed.
    """
    own = None if record.last is None else deciding_failure(record.last)
    stated = set() if own is None else {_cause(own, target.vault, target.credential, target.key)}
    for identity, result in results:
        failure = None if result is None else result.failure
        if result is None or failure is None:
            yield identity, result, ()
            continue
        cause = _cause(failure, result.vault, result.credential, result.name)
        first = _CONSEQUENCES[result.kind] if result.usable is False else ""
        then: tuple[str, ...] = (_SAME_CAUSE,) if cause in stated else ()
        if not then and failure.code is not None:
            advice = advise(failure, names_of_auxiliary(target, result), ready=True).actions
            # A refused staged credential is not for SQL Server.
            then = tuple(each for each in advice if result.kind is not AuxiliaryKind.NEXT or each not in WRITE_SECRET)
        stated.add(cause)
        yield identity, result, (first, *then) if first else then


def _cause(failure: StepResult, vault: str, credential: str, key: str) -> tuple[str | None, ...]:
    """Return a key that equal causes share.

    The key contains the reason, the vault or credential, and the key's name if the reason is about one.
    """
    return (
        failure.reason,
        None if failure.step is Step.TOKEN else vault,
        None if failure.step is Step.CHALLENGE else credential,
        key if failure.step not in (Step.CHALLENGE, Step.TOKEN) and failure.reason in KEY_REFUSED else None,
    )


def key_lines(key: KeyFacts) -> list[Line]:
    """Return the last known facts about the key version."""
    return known_lines(
        ("key", key.name),
        ("version", key.version),
        ("type", f"{key.kty}, {key.size_bits} bits" + ("" if key.supported else ", not supported by the connector")),
        ("enabled", None if key.enabled is None else ANSWERS[key.enabled]),
        ("operations", ", ".join(key.key_ops)),
        *((name, None if at is None else moment(at)) for name, at in (("not before", key.not_before), ("expires", key.expires))),
    )


def version_lines(target: Target, record: TargetRecord) -> list[Line]:
    """Return the newest version, the scheduled purge and the last recovery, if known."""
    newest, purge_at, proof_at = record.newest_version, record.purge_at, record.proof_at
    pending = " (a rotation is pending: SQL Server uses the pinned version. Delete and disable neither; `ekm-exporter docs key-rotation` has the steps)"
    pending = pending if record.rotation_pending else ""
    recover = f"recover it before then: {fill_names(RECOVER_KEY, names_of(target, ()))}"
    is_tested = proof_at is not None and target.recovery_vault is not None
    return known_lines(
        ("newest version", None if newest is None else newest + pending),
        ("deleted", None if purge_at is None else f"purged at {moment(purge_at)}; {recover}"),
        ("recovery test", f"{moment(proof_at or 0)}, successful unwrap in {target.recovery_vault}" if is_tested else None),
    )


def path_lines(vault: VaultHeaders, expected: ExpectPath) -> list[Line]:
    """Return region, service version and network path of the vault, if known."""
    shown = f"{ANSWERS[expected.met_by(vault.connection)]}: expect_path is {expected.value}"
    return known_lines(
        ("region", vault.region),
        ("service version", vault.service_version),
        ("path", vault.connection),
        ("as expected", None if expected is ExpectPath.ANY else shown),
    )


def expiry_lines(
    expiries: Mapping[str, Sequence[CredentialExpiry]], *, now: float
) -> Iterator[tuple[str, str, str, float | None, str]]:
    """Yield credential, source, expiry as text, Unix time of the last lookup, and a note: by source, and credentials without one."""
    for name, each in expiries.items():
        for expiry in each:
            note = ". ".join(filter(None, (expiry.wrong, expiry.failure)))
            yield name, expiry.source.value, _when(expiry, now), expiry.looked_up_at, note
        if not each:
            yield name, "none", "unknown", None, "no source of its expiry is configured"


def _when(expiry: CredentialExpiry, now: float) -> str:
    if expiry.expires_at is None:
        return "no expiry" if expiry.looked_up_at is not None and not expiry.failure else "unknown"
    if expiry.source is Source.ENTRA:
        return f"has expired: Entra ID refuses it since {moment(expiry.expires_at)}"
    days = int(abs(expiry.expires_at - now) // _DAY)
    span = f"{days} day{'' if days == 1 else 's'}"
    return f"{moment(expiry.expires_at)}, " + (f"in {span}" if expiry.expires_at > now else f"expired {span} ago")


def target_warnings(target: Target, record: TargetRecord | None, expected: ExpectPath, *, now: float) -> tuple[str, ...]:
    """Return the marks of a target in a list, as short texts. They do not depend on the target's verdict."""
    if record is None:
        return ()
    refused = dict.fromkeys(
        _MARKS[kind]
        for (kind, _, _), result in auxiliary_results(target, record, now=now)
        if kind in _MARKS and result is not None and result.usable is False
    )
    others = {
        "rotation pending": record.rotation_pending,
        "key deleted": record.purge_at is not None,
        "unexpected path": expected.met_by(record.vault.connection) is False,
    }
    unsteady = unsteady_at(record, now)
    return (*((str(unsteady),) if unsteady else ()), *refused, *(mark for mark, wrong in others.items() if wrong))


def target_text(
    target: Target,
    record: TargetRecord,
    expiries: Mapping[str, Sequence[CredentialExpiry]],
    expected: ExpectPath,
    *,
    now: float,
    auxiliary: bool,
) -> str:
    """Return titled sections, ending with a line break; `now` is a Unix time. `auxiliary` includes auxiliary probes."""
    results = auxiliary_results(target, record, now=now) if auxiliary else ()
    key = () if record.key is None else key_lines(record.key)
    sections: list[tuple[str, Iterable[str]]] = [
        ("Auxiliary probes", _auxiliary(target, record, results)),
        ("Key", _lines((*key, *version_lines(target, record)))),
        ("Path", _lines(path_lines(record.vault, expected))),
        ("Credential expiry", _expiry_lines(expiries, now)),
    ]
    warnings = [line("warning", mark) for mark in target_warnings(target, record, expected, now=now)]
    shown = [[title, *lines] for title, about in sections if (lines := list(about))]
    return "".join("\n" + "\n".join(lines) + "\n" for lines in (*shown, warnings) if lines)


def _lines(about: Iterable[Line]) -> Iterator[str]:
    return (line(*each, indent=_INDENT) for each in about)


def _auxiliary(target: Target, record: TargetRecord, results: Iterable[tuple[Identity, AuxiliaryResult | None]]) -> Iterator[str]:
    for identity, result, advice in auxiliary_actions(target, record, results):
        yield _INDENT + title(target, identity)
        yield line("usable", answer(result), indent=_INDENT * 2)
        if why := reason_text(record, identity, result):
            yield wrapped("because", why, indent=_INDENT * 2)
        for action in advice:
            yield wrapped("do", action, indent=_INDENT * 2)


def _expiry_lines(expiries: Mapping[str, Sequence[CredentialExpiry]], now: float) -> Iterator[str]:
    for credential, source, when, at, note in expiry_lines(expiries, now=now):
        yield line(credential, f" {when}" + ("" if source == "none" else f" (source {source})"), indent=_INDENT)
        if note:
            looked_up = "" if at is None else f"; last success at {moment(at)}"
            yield wrapped("note", note + looked_up, indent=_INDENT * 2)
