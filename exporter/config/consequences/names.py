"""The names for commands about a target, from its configuration and what its probes report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from exporter.config.settings import Credential, Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.codes.names import Names
from exporter.core.model import KeyFacts, StepResult

_T = TypeVar("_T")


def names_of(
    target: Target,
    steps: Sequence[StepResult],
    failure: StepResult | None = None,
    *,
    auxiliary: Iterable[AuxiliaryResult] = (),
    credential: Credential | None = None,
    key: KeyFacts | None = None,
) -> Names:
    """Return the names: those of the target, of the sign-in in `steps`, and of the failed step.

    `auxiliary` has the staged credential and the newest version, `key` the version of a target without one. A target
    without `config_file`, as in a support bundle, gets no paths unless its credential is given.
    """
    facts = [result.facts for result in steps if result.facts is not None]
    results = list(auxiliary)
    newest = next((one.key for one in results if one.kind is AuxiliaryKind.NEWEST and one.key is not None), None)
    given = (None, None, None) if credential is None else (credential.client_id, credential.kind, credential.secret_path)
    return Names(
        target=target.name,
        vault=target.vault,
        key=target.key_name,
        version=target.key_version or (None if key is None else key.version),
        client_id=_first(each.client_id for each in facts) or given[0],
        kind=_first(each.credential_kind for each in facts) or given[1],
        aadsts=_first(each.aadsts for each in facts),
        client_address=_first(each.client_address for each in facts),
        object_id=_first(each.object_id for each in facts),
        proxy=_first(each.proxy for each in facts),
        host=None if failure is None or failure.facts is None else failure.facts.endpoint,
        config_file=None if target.config_file is None else str(target.config_file),
        secret_file=_first(each.secret_file for each in facts if target.config_file is not None) or given[2],
        vantage=target.vantage,
        staged=target.next_credential,
        staged_usable=any(
            one.kind is AuxiliaryKind.NEXT and one.credential == target.next_credential and one.usable is True for one in results
        ),
        newest=None if newest is None else newest.version,
        modulus=b"" if key is None else key.modulus,
    )


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((each for each in values if each), None)


def names_of_auxiliary(target: Target, result: AuxiliaryResult) -> Names:
    """Return the names for the failure of an auxiliary probe: of its own vault, key version and credential."""
    staged, retained = result.kind is AuxiliaryKind.NEXT, result.kind is AuxiliaryKind.RETAINED
    key, _, version = result.name.rpartition("/") if retained else (target.key_name, "", target.key_version)
    return replace(
        names_of(target, result.steps, result.failure),
        other_credential=result.credential if staged else None,
        vault=result.vault,
        key=key,
        version=None if result.kind is AuxiliaryKind.NEWEST else version,
    )
