"""The rule behind `ekm_vault_side_ready`.

The verdict is whether SQL Server could open its databases, as far as a probe shows. A probe cannot test the SQL Server host
itself: its secret, proxy, registry and DLL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from exporter.core.model import Mode, Outcome, ProbeReport, Readiness, Step, StepResult, Vantage
from exporter.core.reasons import Reason
from exporter.core.reasons.row import Reply

# `why` of a Readiness, with its text.
WHY: Mapping[str, str] = {
    "ready": "got a token, read the pinned key version and unwrapped with it",
    "not_ready": "a step that SQL Server needs for backups, log files and starts failed",
    "version_not_pinned": "the configuration names no key version; write key: NAME/VERSION to get a verdict",
    "canary": "mode canary uses its own identity and key, not those of SQL Server",
    "read_only": "mode read_only never unwraps, so its verdict can be not ready but never ready",
    "identity_of_another_host": "a managed identity belongs to its host, and this exporter runs on another host",
    "not_tested": "the last probe did not get as far as the unwrap",
    "other_module": "the probe used another module than the target's own, so SQL Server's network path was not tested",
    "scrape_timeout": "the scrape timeout ended the probe, so the vault was not tested",
    "exporter_fault": "the exporter itself failed or cannot read its secret file, so the vault was not tested",
    "not_measured": "not measured: this host is too slow",
    "stale": "the last probe is older than three intervals",
    "no_probe_yet": "no probe has finished yet with the current configuration",
}
# What no probe can test; shown with every verdict.
NOT_TESTED = "the secret inside SQL Server, the service account's proxy, Windows' TLS, registry and DLL"
NEEDED = (Step.CHALLENGE, Step.TOKEN, Step.GET_KEY, Step.UNWRAP_KEY)


class State(StrEnum):
    """State of a target, the most urgent first."""

    NOT_READY = "not_ready"
    FAILING = "failing"
    UNKNOWN = "unknown"
    READY = "ready"


# The legend of the pages.
STATES: Mapping[State, str] = {
    State.NOT_READY: "a step failed that SQL Server needs to open databases, to start log files and to make backups",
    State.FAILING: "a step failed, but databases open without it, or the probe gives no verdict",
    State.UNKNOWN: "nothing failed, but there is no verdict: not probed yet, not probed for three intervals, or not testable from here",
    State.READY: "a token, the pinned key version and an unwrap with it succeeded",
}


def state_of(readiness: Readiness, *, success: bool | None) -> State:
    """Return the state of a verdict; `success` is None without a probe."""
    if readiness.ready is False:
        return State.NOT_READY
    if success is False:
        return State.FAILING
    return State.READY if readiness.ready else State.UNKNOWN


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
    """Return the verdict of one probe.

    A failed wrap alone does not change it: databases open by unwrap. `unwrapped` is whether the pinned version returned the
    same bytes, in this probe or in the last round trip; None if it was never tried. `own_module`: the probe used the module
    of the target.
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
    if failed and all(result.reason is not None and result.reason.row.reply is Reply.NOT_TESTED for result in failed):
        cut = any(result.reason is Reason.SCRAPE_TIMEOUT for result in failed)
        return Readiness(ready=None, why="scrape_timeout" if cut else "exporter_fault")
    if unwrapped is False or failed:
        return Readiness(ready=False, why="not_ready")
    if mode is Mode.READ_ONLY:
        return Readiness(ready=None, why="read_only")
    return Readiness(ready=True, why="ready") if unwrapped else Readiness(ready=None, why="not_tested")


def deciding_failure(report: ProbeReport) -> StepResult | None:
    """Return the failed step that decides the verdict, else the first failed step; none of a discarded result."""
    if report.discarded:
        return None
    failed = [result for result in report.steps if result.outcome is Outcome.FAILED]
    needed = [result for result in failed if result.step in NEEDED] if report.readiness.ready is False else []
    return next(iter(needed or failed), None)


def vantage_text(vantage: Vantage) -> str:
    """Return the vantage as text, which belongs to every verdict."""
    return "seen from the SQL host" if vantage is Vantage.SQL_HOST else "seen from a central host"


def why_text(readiness: Readiness) -> str:
    """Return the cause of a verdict as text."""
    share = "" if readiness.stolen is None else f" ({100 * readiness.stolen:.0f} % of the time lost)"
    return WHY[readiness.why] + share


def readiness_text(readiness: Readiness, vantage: Vantage) -> str:
    """Return the verdict as text: `vault side ready, seen from the SQL host`.

    The text of an unknown verdict includes its cause.
    """
    seen = vantage_text(vantage)
    if readiness.ready is None:
        return f"vault side unknown, {seen}: {why_text(readiness)}"
    return f"vault side {'ready' if readiness.ready else 'not ready'}, {seen}"
