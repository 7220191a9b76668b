"""The facts of an audit sheet, for its page and its JSON."""

from __future__ import annotations

import time

from exporter.config.settings import Target
from exporter.presentation.audit import AuditSources, audit_payload
from exporter.presentation.payloads import Payload
from exporter.presentation.sql_proofs import SqlProofs
from exporter.runtime.computer import computer_name
from exporter.web.interfaces import ExporterService


async def audit_facts(service: ExporterService, proofs: SqlProofs, target: Target) -> Payload:
    """Return what is known now of the key of a target."""
    proofs.refresh()
    sources = AuditSources(
        config=service.config,
        record_of=service.record_of,
        expiries_of=service.credential_expiries,
        proofs=proofs,
        version=service.version,
        host=computer_name(),
        now=time.time(),
    )
    return await audit_payload(sources, target)
