"""The support bundle: known facts of one target in a zip file to share.

All values were masked when they were read. The configuration part has no labels, paths or names of variables.
"""

from __future__ import annotations

import io
import json
import platform
import ssl
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from exporter.config.schema import dump_yaml
from exporter.config.settings import Config, Credential, Module, SecretSource, Target
from exporter.config.usage import credentials_in_use
from exporter.core.durations import moment
from exporter.core.secrets import mask
from exporter.knowledge.expiry import CredentialExpiry
from exporter.presentation.payloads import (
    Payload,
    earlier,
    earlier_payload,
    entry_payload,
    schedule_payload,
    target_details_payload,
    target_row,
    verdict_payload,
)
from exporter.presentation.sql import differences_payload, sql_servers_payload
from exporter.presentation.text import exchanges, transcript
from exporter.presentation.ticket import last_ticket
from exporter.runtime.process import computer_name
from exporter.sqlserver.differences import Difference
from exporter.sqlserver.proof import ServerProof
from exporter.state.history import HistoryEntry, ProbeContext
from exporter.state.record import TargetRecord, readiness_at

MOST_PROBES = 200  # in report.json: the last ones, then older failures that the history keeps
MOST_TRANSCRIPTS = 20
FORMAT = 1
_LIBRARIES = ("aiohttp", "azure-core", "azure-identity", "azure-keyvault-keys", "cryptography", "msal")
_NOT_SHOWN = "<not shown>"
_HIDDEN = SecretSource(env=_NOT_SHOWN)
_INSTANCE_LABELS = ("sql_instance", "host", "ag")
_README = """\
Support bundle of ekm-exporter for the target {target}, made at {made_at}.

report.json      verdict, last probes and failures with steps, times, codes, HTTP status and request ids; last known facts;
                 what the SQL Servers that the exporter reads proved themselves
transcript.txt   the last probe and the last failures as text, each with its masked requests and responses
ticket.txt       if another team repairs the failure: the text of a ticket for it
environment.txt  versions, and the target's part of the configuration, masked

Not in it: secrets, certificates, tokens, wrapped or unwrapped bytes, other IP addresses, paths, labels of the configuration.
In it, since support needs them: names of vault, key and SQL Servers, of their logins, credentials and databases; tenant id,
client id, request ids; object id and address of a caller that the vault refused. Read it before you send it.
Times are UTC. A request id finds the request in the logs of Azure Key Vault (or, at the step token, of Entra ID).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportBundle:
    """The content of a bundle at one moment, which another thread may write."""

    config: Config
    target: Target
    version: str
    made_at: float
    entries: tuple[HistoryEntry, ...]  # newest first
    details: Payload
    ticket: str = ""

    @property
    def name(self) -> str:
        """The name of the folder in the archive and, with .zip, of the file."""
        stamp = moment(self.made_at).partition(".")[0].replace("-", "").replace(":", "")
        return f"ekm-support-{self.target.name}-{stamp}Z"


def collect_bundle(
    config: Config,
    target: Target,
    record: TargetRecord | None,
    expiries: Iterable[CredentialExpiry],
    servers: Sequence[ServerProof] = (),
    *,
    version: str,
    now: float,
    differences: Sequence[Difference] = (),
) -> SupportBundle:
    """Collect the known facts of a target; `now` is a Unix time."""
    shown = _without_labels(target)
    details = {
        **target_row(shown, record, now=now),
        **schedule_payload(record),
        **verdict_payload(readiness_at(target, record, now), config.settings.vantage),
        **target_details_payload(target, record, expiries, config.modules[target.module].expect_path, now=now),
        **_masked_texts(sql_servers_payload(servers, now=now)),
        **differences_payload(differences),
        "earlier_failures": [earlier_payload(each) for each in earlier(record, [] if record is None else list(record.history))],
    }
    return SupportBundle(
        config=config,
        target=shown,
        version=version,
        made_at=now,
        entries=() if record is None else tuple(islice(record.history, MOST_PROBES)),
        details=details,
        ticket=last_ticket(shown, record, mask(computer_name()), now=now, mask_address=mask),
    )


def archive(bundle: SupportBundle) -> bytes:
    """Return the zip file. Blocks for some ten milliseconds."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in documents(bundle).items():
            zipped.writestr(f"{bundle.name}/{name}", text)
    return file.getvalue()


def documents(bundle: SupportBundle) -> dict[str, str]:
    """Return the text of each file by its name."""
    report = {
        "format": FORMAT,
        "made_at": moment(bundle.made_at),
        "exporter": bundle.version,
        **bundle.details,
        "history": [entry_payload(bundle.target, entry) for entry in bundle.entries],
    }
    # The last probe, then the last failures.
    entries = bundle.entries
    chosen = [*entries[:1], *(entry for entry in entries[1:] if not entry.report.success)][:MOST_TRANSCRIPTS]
    transcripts = f"\n{'=' * 80}\n\n".join(_text_of(bundle, entry) for entry in chosen)
    found = {
        "README.txt": _README.format(target=bundle.target.name, made_at=moment(bundle.made_at)),
        "report.json": json.dumps(report, indent=2) + "\n",
        "transcript.txt": transcripts or "No probe has finished yet.\n",
        "ticket.txt": bundle.ticket,
        "environment.txt": environment(bundle),
    }
    return {name: text for name, text in found.items() if text}


def environment(bundle: SupportBundle) -> str:
    """Return versions, then the target's part of the configuration as YAML."""
    seen = next((entry.report.tenant for entry in bundle.entries if entry.report.tenant), None)
    tenant = seen or bundle.config.credentials[bundle.target.credential].tenant_id
    lines = [
        f"made at       {moment(bundle.made_at)}",
        f"ekm-exporter  {bundle.version}",
        f"python        {platform.python_version()} ({platform.python_implementation()}), {ssl.OPENSSL_VERSION}",
        f"system        {platform.system()} {platform.release()} {platform.machine()}",
        *(f"library       {name} {version(name)}" for name in _LIBRARIES),
        f"tenant        {tenant or 'unknown'}",
        "",
        "Configuration of this target, masked:",
        "",
        dump_yaml(_masked(bundle.config, bundle.target)),
    ]
    return "\n".join(lines)


def _text_of(bundle: SupportBundle, entry: HistoryEntry) -> str:
    target, config, report = bundle.target, bundle.config, entry.report
    context = entry.context or ProbeContext(target, config.modules[target.module], config.credentials[target.credential])
    wire = (f"{step.value}\n" + "".join(f"  {line}\n" for line in lines) for step, lines in exchanges(context, report))
    text = transcript(_without_labels(context.target), report, vantage=config.settings.vantage)
    return text + "\nRequests and responses, masked\n\n" + "\n".join(wire)


def _without_labels(target: Target) -> Target:
    """Return the target without labels and paths, with masked names of SQL Servers."""
    instances = tuple({name: mask(each[name]) for name in _INSTANCE_LABELS if name in each} for each in target.instances)
    return replace(target, labels={}, instances=instances, config_file=None)


def _masked_texts(found: Any) -> Any:
    """Return JSON whose texts are masked."""
    if isinstance(found, dict):
        return {name: _masked_texts(each) for name, each in found.items()}
    if isinstance(found, list):
        return [_masked_texts(each) for each in found]
    return mask(found) if isinstance(found, str) else found


def _masked(config: Config, target: Target) -> Config:
    """Return the configuration of one target, without secret locations."""
    part = replace(config, targets={target.name: target})
    return replace(
        part,
        credentials={name: _credential(config.credentials[name]) for name in sorted(credentials_in_use(part))},
        modules={name: _module(config.modules[name]) for name in (target.module, *target.modules)},
    )


def _credential(credential: Credential) -> Credential:
    return replace(
        credential,
        secret=credential.secret and _HIDDEN,
        password=credential.password and _HIDDEN,
        certificate_file=credential.certificate_file and Path(_NOT_SHOWN),
    )


def _module(module: Module) -> Module:
    proxy = module.proxy and replace(
        module.proxy,
        url=mask(module.proxy.url),
        no_proxy=tuple(map(mask, module.proxy.no_proxy)),
        username=module.proxy.username and _NOT_SHOWN,
        password=module.proxy.password and _HIDDEN,
    )
    hidden_routes = dict.fromkeys(module.connect_to, _NOT_SHOWN)
    return replace(module, proxy=proxy, ca_file=module.ca_file and Path(_NOT_SHOWN), connect_to=hidden_routes)
