"""The check whether pin, thumbprint and public key belong together.

Only SQL Server stores the thumbprint together with the public key. This host can find a contradiction, never a proof.
"""

from __future__ import annotations

from exporter.core.checks.finding import Finding, skipped, unknown, warned
from exporter.core.connector_secret import KEY_NAME_LIMIT
from exporter.core.model import Generation
from exporter.core.thumbprint import contradiction, is_hash, length_of
from exporter.doctor.evidence import Evidence


def thumbprint(evidence: Evidence) -> Finding:
    """Warn if another declaration contradicts the thumbprint; else it is unknown here."""
    target, pin = evidence.target, evidence.target.pin
    if evidence.report.key is None:
        return skipped("the key was not read")
    if pin is None:
        return unknown("none is declared; the query finds it by the public key")
    if target.key_version is None:
        return warned(f"{pin.thumbprint} is declared, but the key has no version: it proves nothing")
    for name, other in evidence.pins:
        if why := contradiction(pin, other):
            return warned(f"target {name} has {why}")
    if not is_hash(pin.thumbprint):
        return unknown(
            f"{pin.thumbprint} has {length_of(pin.thumbprint)} bytes, not the 20 of connector 1.0.5.0: versions can share it"
        )
    # The encoding of the longest names by connector 1.0.4.0 may have as many bytes as the hash.
    classic = target.generation_declared and target.generation is Generation.CLASSIC and len(target.key_name) < KEY_NAME_LIMIT
    if classic:
        return warned(f"{pin.thumbprint} has the 20 bytes of connector 1.0.5.0, but connector_generation is classic")
    return unknown(f"{pin.thumbprint} is declared for this version; only SQL Server can compare the public key")
