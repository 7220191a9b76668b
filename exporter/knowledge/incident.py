"""Incidents: the page that a failure belongs to, the failed probes in a row that page, and the cause that many targets share.

The exporter exposes them as `ekm_incident`. The alert rules have their numbers from here, and the tests of the rules call this module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.core.values import Readiness, Step
from exporter.knowledge.causes import MANY, MANY_RATIO, NEARLY_ALL_RATIO, Cause
from exporter.knowledge.code_row import Category
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reason_row import Link, Refused
from exporter.knowledge.reasons import Reason, refusing, spreading_to
from exporter.knowledge.verdict import CREDENTIAL_REFUSED, FailedProbe


class Page(StrEnum):
    """The page that a failure belongs to. All failures that no other page names are `NOT_READY`."""

    THROTTLED = "throttled"
    FORBIDDEN = "forbidden"
    NAME_GONE = "name_gone"
    TURNED_AWAY = "turned_away"  # Entra ID throttles or forbids, not the vault
    REFUSED = "refused"
    EXPIRED = "expired"
    KEY_DELETED = "key_deleted"
    NOT_READY = "not_ready"


# The least failed probes in a row for a page.
RUN: Final = 4  # three happen by chance once in two weeks in a fleet of 50 with 1 % random failures
RUN_SLOW: Final = 3  # if the interval is `SLOW_SECONDS` or more, or the exporter backs off from a vault that throttles
CYCLES: Final = 2  # if many targets share a cause
RUN_DELETED: Final = 1  # of a key that will be purged
SLOW_SECONDS: Final = 300.0
BACKED_OFF_INTERVALS: Final = 1.5  # from one probe to the next, more than

# `why` of a Readiness without a verdict by design: these targets page by their failures.
WITHOUT_VERDICT: Final = frozenset({"version_not_pinned", "canary", "identity_of_another_host"})

_TURNED_AWAY: Final = {Category.THROTTLED: Page.THROTTLED, Category.PERMISSION: Page.FORBIDDEN}
_ENDED: Final = refusing(Refused.EXPIRED_CREDENTIAL)
_KEY_STATE: Final = refusing(Refused.KEY_STATE)
_FIREWALL: Final = refusing(Refused.ADDRESS)
_PERMISSION: Final = spreading_to(Link.CREDENTIAL)
# No vault can cause the first ones. The second ones are the host's too, but no connection is lost.
_NO_EGRESS: Final = frozenset(reason for reason in Reason if reason.row.is_of_host or reason.row.link is Link.PROXY)
_WITH_EGRESS: Final = frozenset(reason for reason in Reason if reason.row.link is Link.HOST and not reason.row.is_of_host)


def page_of(failure: FailedProbe, *, expired: bool = False, deleted: bool = False) -> Page:
    """Return the page of a failure.

    `expired` is whether the known expiry date of the credential has passed, and `deleted` whether the purge date of the key is ahead.
    """
    step, code, reason = failure
    turned_away = _turned_away(code)
    if deleted or reason is Reason.KEY_SOFT_DELETED:
        return Page.KEY_DELETED
    if step is Step.CHALLENGE and reason is Reason.DNS_NOT_FOUND:
        return Page.NAME_GONE
    if step is not Step.TOKEN:
        return turned_away or Page.NOT_READY
    if turned_away:
        return Page.TURNED_AWAY
    if reason in CREDENTIAL_REFUSED:
        return Page.EXPIRED if expired or reason in _ENDED else Page.REFUSED
    return Page.NOT_READY


class Runs(NamedTuple):
    """Failed probes in a row: all, those in which a step other than wrap failed, and those with the verdict not ready."""

    failures: int
    blocking: int
    unready: int


def counted_run(failure: FailedProbe, runs: Runs, readiness: Readiness) -> int:
    """Return the failed probes in a row that count for a page.

    They are not ready; or blocking, without a verdict by design; or wrap alone is throttled, or forbidden but not for the key's state.
    """
    if failure.step is Step.WRAP_KEY and _turned_away(failure.code) and failure.reason not in _KEY_STATE:
        return runs.failures
    return runs.blocking if readiness.why in WITHOUT_VERDICT else runs.unready


def least_run(code: int | None, *, interval: float, gap: float | None) -> int:
    """Return how many failed probes in a row page. `gap` is the time from the last probe to the next one, if planned, in seconds."""
    backs_off = _turned_away(code) is Page.THROTTLED and gap is not None and gap > BACKED_OFF_INTERVALS * interval
    return RUN_SLOW if backs_off or interval >= SLOW_SECONDS else RUN


def is_long(run: int, least: int, *, shared: bool = False, deleted: bool = False) -> bool:
    """Return whether a run pages: a shared cause needs fewer failed probes than `least`, and a key that will be purged one."""
    return run >= (RUN_DELETED if deleted else min(CYCLES, least) if shared else least)


class Member(NamedTuple):
    """A failing target with a run of at least `CYCLES`: its vault and its credential, the cause of its failure, and its own reason."""

    target: str
    vault: str
    credential: str
    cause: Cause
    reason: Reason | None


class CommonCause(NamedTuple):
    """What many targets share: the host, Entra ID, a region or a credential, and the name of the last two."""

    link: Link
    name: str


def common_causes(members: Iterable[Member], targets: int) -> dict[str, CommonCause]:
    """Return the common cause of each member that has one. `targets` are all of the exporter, without those in a maintenance window.

    While a host recovers, its last vaults seem to be a region.
    """
    found = defaultdict[CommonCause, list[Member]](list)
    for member in members:
        for shared in _shared(member):
            found[shared].append(member)
    common = [shared for shared, several in found.items() if _is_common(shared.link, several, targets)]
    if _HOST in common:
        common = [shared for shared in common if shared.link not in (Link.ENTRA, Link.REGION)]
    return {member.target: shared for shared in common for member in found[shared]}


_HOST: Final = CommonCause(Link.HOST, "")
_RATIOS: Final = {Link.HOST: NEARLY_ALL_RATIO, Link.ENTRA: MANY_RATIO}


def _is_common(link: Link, members: list[Member], targets: int) -> bool:
    """Return whether many fail: of all targets, or of the vaults of a region or a credential."""
    if link in _RATIOS:
        return len(members) >= MANY and len(members) >= _RATIOS[link] * targets
    return len({member.vault for member in members}) >= MANY


def _shared(member: Member) -> Iterator[CommonCause]:
    """Yield what the cause of a failure can be for many targets."""
    cause = member.cause
    if member.reason in _NO_EGRESS or (cause.link in (Link.HOST, Link.PROXY) and cause.reason not in _WITH_EGRESS):
        yield _HOST
    if cause.link is Link.ENTRA:
        yield CommonCause(Link.ENTRA, "")
    if cause.link is Link.REGION:
        yield CommonCause(Link.REGION, cause.name)
    if (cause.link is Link.CREDENTIAL and cause.reason in _PERMISSION) or (
        cause.link is Link.VAULT and not cause.name and cause.reason in _FIREWALL
    ):
        yield CommonCause(Link.CREDENTIAL, member.credential)


def _turned_away(code: int | None) -> Page | None:
    return None if code is None or code not in BY_CODE else _TURNED_AWAY.get(BY_CODE[code].category)
