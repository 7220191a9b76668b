"""Whether the vault's side would let SQL Server open its databases, as far as one probe can say it.

For: the one rule behind `ekm_vault_side_ready`, and the reasons why there may be no answer.
Not for: what only the SQL Server host knows (its secret, proxy, registry, DLL), nor how old a verdict may get.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exporter.core.faults import Reason
from exporter.core.model import Mode, Outcome, Readiness, Step, StepResult, Vantage

# `why` of a Readiness, with the words for people.
WHY: Mapping[str, str] = {
    "ready": "got a token, read the pinned key version and unwrapped with it",
    "not_ready": "a step that SQL Server needs to open its databases failed",
    "version_not_pinned": "the configuration names no key version; write key: NAME/VERSION to get a verdict",
    "canary": "mode canary uses its own identity and key, which says nothing of SQL Server's",
    "read_only": "mode read_only never unwraps, so it can say not ready but never ready",
    "identity_of_another_host": "a managed identity belongs to its host, and this exporter stands elsewhere",
    "not_tested": "the last probe did not get as far as the unwrap",
    "other_module": "the probe used another module than the target's own, so it says nothing of SQL Server's way",
    "scrape_timeout": "the scrape's own timeout ended the probe, which says nothing of the vault",
    "exporter_fault": "the exporter itself failed, or cannot read its copy of the secret, which says nothing of the vault",
    "stale": "the last probe is older than three intervals",
    "no_probe_yet": "no probe has finished yet with what is configured now",
}
# What no probe from outside can test; named wherever a verdict is.
NOT_TESTED = "the secret inside SQL Server, the service account's proxy, Windows' TLS, registry and DLL"
# Reasons that lie in the exporter alone.
EXPORTER_SIDE = (Reason.INTERNAL, Reason.SECRET_UNREADABLE, Reason.SECRET_TIMEOUT)
_NOT_THE_VAULTS = (*EXPORTER_SIDE, Reason.SCRAPE_TIMEOUT)
NEEDED = (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY)


def assess(
    steps: Sequence[StepResult],
    *,
    pinned: bool,
    mode: Mode,
    managed_identity: bool,
    vantage: Vantage,
    unwrapped: bool | None,
    own_module: bool = True,
) -> Readiness:
    """The verdict of one probe; wrap failing alone does not clear it, since databases open by unwrapping.

    `unwrapped` says whether the bytes came back equal from the pinned version, in this probe or, between two round trips,
    in the last one; None where that was never tried. `own_module`: the probe was made as the target's configuration says.
    """
    if not own_module:
        return Readiness(ready=None, why="other_module")
    if mode is Mode.CANARY:
        return Readiness(ready=None, why="canary")
    if not pinned:
        return Readiness(ready=None, why="version_not_pinned")
    if managed_identity and vantage is Vantage.CENTRAL:
        return Readiness(ready=None, why="identity_of_another_host")
    failed = [result for result in steps if result.step in NEEDED and result.outcome is Outcome.FAILED]
    if failed and all(result.reason in _NOT_THE_VAULTS for result in failed):
        cut = any(result.reason is Reason.SCRAPE_TIMEOUT for result in failed)
        return Readiness(ready=None, why="scrape_timeout" if cut else "exporter_fault")
    if unwrapped is False or failed:
        return Readiness(ready=False, why="not_ready")
    if mode is Mode.READ_ONLY:
        return Readiness(ready=None, why="read_only")
    return Readiness(ready=True, why="ready") if unwrapped else Readiness(ready=None, why="not_tested")


def in_words(readiness: Readiness, vantage: Vantage) -> str:
    """The verdict as every page, command and log has it: `vault side ready, seen from the SQL host`; an unknown says why."""
    seen = "seen from the SQL host" if vantage is Vantage.SQL_HOST else "seen from a central host"
    if readiness.ready is None:
        return f"vault side unknown, {seen}: {WHY[readiness.why]}"
    return f"vault side {'ready' if readiness.ready else 'not ready'}, {seen}"
