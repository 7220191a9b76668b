"""Incidents: the page of a failure, the failed probes in a row that page, and the cause that many targets share."""

import pytest

from exporter.core.values import Readiness, Step
from exporter.knowledge.causes import Cause
from exporter.knowledge.incident import (
    CYCLES,
    RUN,
    RUN_SLOW,
    CommonCause,
    Member,
    Page,
    Runs,
    common_causes,
    counted_run,
    is_long,
    least_run,
    page_of,
)
from exporter.knowledge.reason_row import Link
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import FailedProbe

HOST, ENTRA = CommonCause(Link.HOST, ""), CommonCause(Link.ENTRA, "")
NOT_READY = Readiness(ready=False, why="not_ready")


@pytest.mark.parametrize(
    ("step", "code", "reason", "page"),
    [
        (Step.GET_KEY, 3011, Reason.THROTTLED, Page.THROTTLED),
        (Step.UNWRAP_KEY, 3109, Reason.THROTTLED, Page.THROTTLED),
        (Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, Page.FORBIDDEN),
        (Step.WRAP_KEY, 3113, Reason.FORBIDDEN_POLICY, Page.FORBIDDEN),
        (Step.CHALLENGE, 3900, Reason.DNS_NOT_FOUND, Page.NAME_GONE),
        (Step.TOKEN, 3900, Reason.DNS_NOT_FOUND, Page.NOT_READY),
        (Step.TOKEN, 3011, Reason.THROTTLED, Page.TURNED_AWAY),
        (Step.TOKEN, 3113, None, Page.TURNED_AWAY),
        (Step.TOKEN, 3303, Reason.SECRET_WRONG, Page.REFUSED),
        (Step.TOKEN, 3303, Reason.SECRET_EXPIRED, Page.EXPIRED),
        (Step.GET_KEY, 3303, Reason.SECRET_EXPIRED, Page.NOT_READY),
        (Step.TOKEN, 3900, Reason.CONNECT_TIMEOUT, Page.NOT_READY),
        (Step.GET_KEY, 3076, Reason.NOT_FOUND, Page.NOT_READY),
        (Step.GET_KEY, 3076, Reason.KEY_SOFT_DELETED, Page.KEY_DELETED),
        (Step.GET_KEY, None, None, Page.NOT_READY),
        (Step.GET_KEY, 1, None, Page.NOT_READY),
    ],
)
def test_page_follows_from_step_code_and_reason(step, code, reason, page):
    assert page_of(FailedProbe(step, code, reason)) is page


@pytest.mark.parametrize(
    ("reason", "page"),
    [(Reason.SECRET_WRONG, Page.EXPIRED), (Reason.SECRET_EXPIRED, Page.EXPIRED), (Reason.CONNECT_TIMEOUT, Page.NOT_READY)],
)
def test_known_date_that_passed_makes_a_refusal_the_expiry(reason, page):
    assert page_of(FailedProbe(Step.TOKEN, 3303, reason), expired=True) is page
    assert page_of(FailedProbe(Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC), expired=True) is Page.FORBIDDEN


def test_key_that_will_be_purged_is_deleted_whatever_fails():
    assert page_of(FailedProbe(Step.TOKEN, 3303, Reason.SECRET_WRONG), deleted=True) is Page.KEY_DELETED


@pytest.mark.parametrize(
    ("step", "code", "reason", "why", "run"),
    [
        (Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, "not_ready", 1),
        (Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, "exporter_fault", 1),
        (Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, "canary", 2),
        (Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, "version_not_pinned", 2),
        (Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, "identity_of_another_host", 2),
        (Step.WRAP_KEY, 3011, Reason.THROTTLED, "ready", 3),
        (Step.WRAP_KEY, 3077, Reason.FORBIDDEN_RBAC, "canary", 3),
        (Step.WRAP_KEY, 3077, Reason.KEY_EXPIRED, "ready", 1),
        (Step.WRAP_KEY, 3900, Reason.CONNECT_TIMEOUT, "ready", 1),
        (Step.WRAP_KEY, None, None, "ready", 1),
    ],
)
def test_counted_run_is_that_of_the_verdict_unless_there_is_none_by_design_or_wrap_alone_is_turned_away(
    step, code, reason, why, run
):
    assert (
        counted_run(FailedProbe(step, code, reason), Runs(failures=3, blocking=2, unready=1), Readiness(ready=None, why=why))
        == run
    )


@pytest.mark.parametrize(
    ("code", "interval", "gap", "least"),
    [
        (3077, 60, 60, RUN),
        (3077, 299, None, RUN),
        (3077, 300, None, RUN_SLOW),
        (3077, 60, 120, RUN),
        (3011, 60, 90, RUN),
        (3011, 60, 91, RUN_SLOW),
        (3109, 60, 120, RUN_SLOW),
        (3109, 60, None, RUN),
        (None, 60, 120, RUN),
    ],
)
def test_slow_and_throttled_targets_need_fewer_failures(code, interval, gap, least):
    assert least_run(code, interval=interval, gap=gap) == least


def test_common_causes_and_keys_that_will_be_purged_page_sooner():
    assert [run for run in range(6) if is_long(run, RUN)] == [4, 5]
    assert [run for run in range(6) if is_long(run, RUN, shared=True)] == [2, 3, 4, 5]
    assert [run for run in range(6) if is_long(run, RUN, deleted=True)] == [1, 2, 3, 4, 5]
    assert [run for run in range(6) if is_long(run, 1, shared=True)] == [1, 2, 3, 4, 5]
    assert CYCLES < RUN_SLOW < RUN


def member(number, link, reason, *, name="", own=None, vault=None):
    return Member(f"t{number}", vault or f"v{number}", "sql", Cause(link, name, reason), own or reason)


def members(count, *args, **options):
    return [member(number, *args, **options) for number in range(count)]


@pytest.mark.parametrize(
    ("link", "reason", "name", "shared"),
    [
        (Link.HOST, Reason.NETWORK_DOWN, "", HOST),
        (Link.HOST, Reason.CONNECT_TIMEOUT, "", HOST),
        (Link.HOST, Reason.CLOCK_SKEW, "", None),
        (Link.PROXY, Reason.PROXY_AUTH, "proxy:3128", HOST),
        (Link.VAULT, Reason.DNS_TIMEOUT, "v", HOST),
        (Link.ENTRA, Reason.ENTRA_UNAVAILABLE, "login", ENTRA),
        (Link.ENTRA, Reason.DNS_TIMEOUT, "login", HOST),
        (Link.REGION, Reason.READ_TIMEOUT, "westeurope", CommonCause(Link.REGION, "westeurope")),
        (Link.CREDENTIAL, Reason.FORBIDDEN_RBAC, "sql", CommonCause(Link.CREDENTIAL, "sql")),
        (Link.CREDENTIAL, Reason.SECRET_EXPIRED, "sql", None),
        (Link.VAULT, Reason.FORBIDDEN_FIREWALL, "", CommonCause(Link.CREDENTIAL, "sql")),
        (Link.VAULT, Reason.FORBIDDEN_FIREWALL, "v", None),
        (Link.VAULT, Reason.READ_TIMEOUT, "v", None),
        (Link.KEY, Reason.KEY_DISABLED, "", None),
    ],
)
def test_three_share_the_cause_of_their_link_and_two_none(link, reason, name, shared):
    few, many = members(2, link, reason, name=name), members(3, link, reason, name=name)
    assert common_causes(few, 2) == {}
    assert common_causes(many, 3) == ({} if shared is None else {f"t{number}": shared for number in range(3)})


@pytest.mark.parametrize(
    ("link", "reason", "failing", "targets", "is_common"),
    [
        (Link.HOST, Reason.NETWORK_DOWN, 9, 10, True),
        (Link.HOST, Reason.NETWORK_DOWN, 89, 100, False),
        (Link.HOST, Reason.NETWORK_DOWN, 90, 100, True),
        (Link.ENTRA, Reason.ENTRA_UNAVAILABLE, 3, 6, True),
        (Link.ENTRA, Reason.ENTRA_UNAVAILABLE, 3, 7, False),
        (Link.REGION, Reason.READ_TIMEOUT, 3, 100, True),
    ],
)
def test_share_of_all_targets_decides_about_host_and_entra_alone(link, reason, failing, targets, is_common):
    assert len(common_causes(members(failing, link, reason), targets)) == (failing if is_common else 0)


@pytest.mark.parametrize(("link", "reason"), [(Link.REGION, Reason.READ_TIMEOUT), (Link.CREDENTIAL, Reason.FORBIDDEN_RBAC)])
def test_regions_and_credentials_count_vaults(link, reason):
    assert common_causes(members(5, link, reason, name="one", vault="v"), 5) == {}


def test_two_regions_are_two_causes():
    west = [member(number, Link.REGION, Reason.READ_TIMEOUT, name="west") for number in range(3)]
    north = [member(number, Link.REGION, Reason.READ_TIMEOUT, name="north") for number in range(3, 5)]
    assert set(common_causes([*west, *north], 9).values()) == {CommonCause(Link.REGION, "west")}


def test_host_explains_entra_and_the_regions_but_no_credential():
    host = [member(number, Link.HOST, Reason.NETWORK_DOWN) for number in range(27)]
    region = [member(number, Link.REGION, Reason.READ_TIMEOUT, name="west", own=Reason.NETWORK_DOWN) for number in range(27, 30)]
    credential = [member(number, Link.CREDENTIAL, Reason.FORBIDDEN_RBAC) for number in range(30, 33)]
    entra = [member(number, Link.ENTRA, Reason.DNS_TIMEOUT) for number in range(33, 63)]
    found = common_causes([*host, *region, *credential, *entra], 63)
    assert found == {each.target: HOST for each in (*host, *region, *entra)} | {
        each.target: CommonCause(Link.CREDENTIAL, "sql") for each in credential
    }
