"""The object id of the principal that a vault refused, from the vault's sentence or from the token.

The id is no secret, and the role assignment needs it. It is never a label value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from exporter.core.model import Step, StepResult
from exporter.core.parsing.token_claims import payload_of

_GUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_NAMED = re.compile(rf"\boid=({_GUID})(?![\w-])")
_WHOLE = re.compile(_GUID)
_READ = 4096  # characters of a sentence
_FORBIDDEN = 403


def object_id_in(sentence: str) -> str | None:
    """Return the object id that a vault names as `oid=` of its caller; None without one."""
    named = _NAMED.search(sentence[:_READ])
    return None if named is None else named[1].lower()


def object_id_of_token(token: str) -> str | None:
    """Return the object id in the claims of a token; None without one."""
    claims = payload_of(token)
    return None if claims is None else guid_of(claims.get("oid"))


def guid_of(value: object) -> str | None:
    """Return a GUID in lower case; None for anything else."""
    return value.lower() if isinstance(value, str) and _WHOLE.fullmatch(value) else None


def with_object_ids(results: Mapping[Step, StepResult], token: str) -> dict[Step, StepResult]:
    """Return the steps that a vault refused without naming its caller, with the object id of the token."""
    return {
        step: replace(result, facts=replace(result.facts, object_id=object_id_of_token(token)))
        for step, result in results.items()
        if result.facts is not None and result.facts.status == _FORBIDDEN and result.facts.object_id is None
    }
