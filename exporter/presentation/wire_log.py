"""Masked requests and responses of a probe, for its page and the support bundle.

Requests are rebuilt from the configuration of the probe, responses from the facts of the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from exporter.config.settings import Credential, Target
from exporter.core.model import CredentialKind, Outcome, ProbeReport, Step, StepResult
from exporter.presentation.probe_text import facts_of
from exporter.state.history import ProbeContext

BEARER = "Authorization: Bearer <token>"
_VALUE = "<32 random bytes>"
# These kinds send a request to Entra ID; the others use their platform.
_SIGN_IN: Mapping[CredentialKind, str] = {
    CredentialKind.CLIENT_SECRET: "client_secret=<secret>",
    CredentialKind.CONNECTOR_SECRET: "client_secret=<secret>",
    CredentialKind.CLIENT_CERTIFICATE: "client_assertion=<signed with the certificate>",
    CredentialKind.WORKLOAD_IDENTITY: "client_assertion=<token of the service account>",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedExchange:
    """The lines of one request and of its response.

    The request is empty if it was not sent.
    """

    step: Step
    request: tuple[str, ...]
    response: tuple[str, ...]


def exchanges(context: ProbeContext, report: ProbeReport) -> Iterator[LoggedExchange]:
    """Yield the exchange of each step that was not skipped, in order."""
    for result in report.steps:
        if result.outcome is not Outcome.SKIPPED:
            request = _request(context, report, result) if result.sent else ()
            yield LoggedExchange(step=result.step, request=request, response=tuple(_response(result)))


def as_lines(exchange: LoggedExchange) -> Iterator[str]:
    """Yield the lines of an exchange: sent ones after `> `, received ones after `< `."""
    yield from (f"> {line}" for line in exchange.request or ("(no request left this host)",))
    yield from (f"< {line}" for line in exchange.response or ("(nothing)",))


def _request(context: ProbeContext, report: ProbeReport, result: StepResult) -> tuple[str, ...]:
    target, module = context.target, context.module
    if result.step is Step.TOKEN:
        return _sign_in(context.credential, report, result)
    method, path = ("GET", "/keys") if result.step is Step.CHALLENGE else _key_request(target, report, result.step)
    lines = [f"{method} https://{target.vault}{path}?api-version={quote(module.api_version, safe='')}"]
    if result.step is not Step.CHALLENGE:
        lines.append(BEARER)
    if method == "POST":
        lines.append(f'{{"alg": "{module.algorithm}", "value": "{_VALUE}"}}')
    return tuple(lines)


def _key_request(target: Target, report: ProbeReport, step: Step) -> tuple[str, str]:
    version = target.key_version if report.key is None else report.key.version
    if step is Step.GET_KEY:
        version = target.key_version  # as requested: empty without a pinned version
    path = "/keys/" + "/".join(quote(part, safe="") for part in (target.key_name, version) if part)
    return ("GET", path) if step is Step.GET_KEY else ("POST", f"{path}/{step.value.replace('_', '')}")


def _sign_in(credential: Credential, report: ProbeReport, result: StepResult) -> tuple[str, ...]:
    proof = _SIGN_IN.get(credential.kind)
    host = None if result.facts is None else result.facts.endpoint
    if proof is None or host is None:
        return (f"a token, by {credential.kind.value}",)
    tenant = report.tenant or credential.tenant_id or "<tenant>"
    client = credential.client_id or "<client id>"
    return (
        f"POST https://{host.removesuffix(':443')}/{tenant}/oauth2/v2.0/token",
        f"grant_type=client_credentials&client_id={client}&{proof}&scope=<resource of the challenge>/.default",
    )


def _response(result: StepResult) -> Iterator[str]:
    """Yield the received facts; the transcript has the conclusions of the exporter."""
    internal = ("code", "reason", "shared", "phases", "endpoint")
    yield from (f"{name}: {value}" for name, value in facts_of(result) if name not in internal)
