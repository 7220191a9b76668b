"""Log lines of probes: each change once, and a summary of repeated failures."""

import io
import logging
import re

import pytest

from exporter.core.limits import FirstProbes
from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics.target_families import OUTCOME, outcome_of
from exporter.presentation.log import ProbeLog
from exporter.presentation.payloads import probe_payload
from exporter.runtime.logging import LogfmtFormatter
from tests.support.web_factories import (
    STARTED,
    auxiliary_result,
    bad,
    fully_declared,
    good,
    refused_auxiliary,
    target,
    wrap_and_unwrap_failed,
)


class Written(ProbeLog):
    """A probe log whose lines can be read."""

    def __init__(self):
        self.stream = io.StringIO()
        logger = logging.getLogger("tests.probes")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [logging.StreamHandler(self.stream)]
        logger.handlers[0].setFormatter(LogfmtFormatter())
        super().__init__(logger=logger)

    def lines(self):
        return [line.split(" ", 1)[1] for line in self.stream.getvalue().splitlines()]

    def messages(self):
        return [line.split('msg="')[1].split('"')[0] for line in self.lines()]


@pytest.fixture
def log():
    return Written()


def first_probes(**changed):
    return FirstProbes(**{"targets": 5000, "missing": 3631, "delayed": 3000, "pace": 10.0} | changed)


def test_delayed_first_probes_are_one_line_a_minute_with_numbers(log):
    for at in (0.0, 2.0, 59.0, 60.0):
        log.first_probes(first_probes(), STARTED + at)
    numbers = "without_result=3631 targets=5000 delayed=3000 results_per_minute=600 all_in_seconds=363"
    assert log.lines() == 2 * [f'level=warn msg="first probes are delayed: this host is too busy" {numbers}']


def test_end_of_delayed_first_probes_is_one_line(log):
    log.first_probes(first_probes(pace=0.0), STARTED)
    for delayed in (first_probes(delayed=0), first_probes(delayed=0, missing=0), first_probes(delayed=0, missing=0)):
        log.first_probes(delayed, STARTED + 100)
    assert log.lines()[0].endswith("delayed=3000")
    assert log.messages() == ["first probes are delayed: this host is too busy", "all targets have a result"]


def test_first_probes_in_time_are_not_logged(log):
    log.first_probes(first_probes(delayed=0), STARTED)
    log.first_probes(first_probes(delayed=0, missing=0), STARTED + 60)
    assert log.lines() == []


def test_a_slow_host_is_one_line_and_its_end_is_one_line(log):
    for found in ({}, {"a": 0.8125, "b": 0.7}, {"a": 0.9}, {}, {}):
        log.unmeasured(found, 3)
    assert log.lines() == [
        'level=warn msg="not measured: this host is too slow, results are discarded" not_measured=2 targets=3 time_lost=0.812',
        'level=info msg="all targets are measured again" targets=3',
    ]


def test_a_failed_probe_is_one_line_with_its_facts(log):
    log.record(target(), bad(inner_code="ForbiddenByPolicy", retry_after_seconds=7.0, detail="expired keys for app <id>"))
    assert log.lines()[0] == (
        'level=warn msg="probe failed" target=contoso-key0 vault=contoso-prod.vault.azure.net '
        "key=ContosoRSAKey0/cgacf4f763ar42ffb0a1gca546aygd87 sql_servers=SQLPRD01,SQLPRD02 "
        "vault_side_ready=false duration=0.3 step=token code=3303 "
        "symbol=ErrorGetTokenBadCredentials reason=secret_expired status=401 service_code=invalid_client "
        "inner_code=ForbiddenByPolicy aadsts=7000222 request_id=r-1 retry_after=7 phase=transfer "
        'detail="expired keys for app <id>"'
    )
    assert len(log.lines()) == 1


def test_a_line_names_a_limited_number_of_sql_servers(log):
    replicas = [{"sql_instance": "SQLAG", "host": "n1"}, {"sql_instance": "SQLAG", "host": "n2"}]
    for name, instances in (("none", []), ("both", replicas), ("many", [{"sql_instance": f"S{n}"} for n in range(11)])):
        log.record(target(name, instances=tuple(instances)), bad(name))
    assert [re.findall(r'sql_servers="?(\S+(?: on [^ "]+)*)', line) for line in log.lines()] == [
        [],
        ["SQLAG on n1,SQLAG on n2"],
        ["S0,S1,S2,S3,S4,S5,S6,S7,S8,S9,..."],
    ]


WRAP = {"step": Step.WRAP_KEY, "code": 3077, "reason": Reason.FORBIDDEN_RBAC}


@pytest.mark.parametrize(
    ("reports", "messages"),
    [
        ([good(started_at=STARTED + number) for number in range(5)], []),
        ([bad(**WRAP, ready=True), bad(**WRAP, started_at=STARTED + 60)], ["probe failed", "probe failure changed"]),
        ([bad("a"), good("b"), bad("b")], ["probe failed", "probe failed"]),
    ],
    ids=["healthy", "changed verdict", "two targets"],
)
def test_each_change_of_a_target_has_a_line(log, reports, messages):
    for report in reports:
        log.record(target(report.target), report)
    assert log.messages() == messages


def test_a_repeated_failure_is_counted_and_summarised(log):
    for minute in range(25):
        log.record(target(), bad(started_at=STARTED + 60 * minute))
    assert log.messages() == ["probe failed", "probe still fails", "probe still fails"]
    assert log.lines()[1].endswith("failed_probes=11 failed_for=600 since_last_line=10")
    assert log.lines()[2].endswith("failed_probes=21 failed_for=1200 since_last_line=10")


def test_every_probe_has_a_line_at_level_debug(log):
    logging.getLogger("tests.probes").setLevel(logging.DEBUG)
    for report in (good(), bad(), bad(), good(), good()):
        log.record(target(), report)
    assert [re.search('level=(\\w+) msg="([^"]+)"', line).groups() for line in log.lines()] == [
        ("debug", "probe succeeded"),
        ("warn", "probe failed"),
        ("debug", "probe failed again"),
        ("info", "probe succeeded again"),
        ("debug", "probe succeeded"),
    ]
    assert "request_id=r-1" in log.lines()[2]


def test_another_failure_has_a_line(log):
    log.record(target(), bad())
    log.record(target(), bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, started_at=STARTED + 60))
    assert log.messages() == ["probe failed", "probe failure changed"]
    assert "code=3077 counterpart=3113 " in log.lines()[1]


def test_a_recovery_is_one_line_with_its_duration(log):
    log.record(target(), bad())
    log.record(target(), bad(started_at=STARTED + 60))
    log.record(target(), good(started_at=STARTED + 120))
    log.record(target(), good(started_at=STARTED + 180))
    assert log.messages() == ["probe failed", "probe succeeded again"]
    assert log.lines()[1].startswith("level=info")
    assert log.lines()[1].endswith("vault_side_ready=true duration=0.1 failed_probes=2 failed_for=120")


def test_an_internal_fault_is_an_error(log):
    log.record(target(), bad(code=3001, reason=Reason.INTERNAL, exception="KeyError"))
    assert log.lines()[0].startswith("level=error")
    assert "exception=KeyError" in log.lines()[0]


def test_a_forgotten_target_leaves_no_state(log):
    log.record(target(), bad())
    log.forget("contoso-key0")
    log.record(target(), good(started_at=STARTED + 60))
    assert log.messages() == ["probe failed"]
    assert log._failing == {}


def test_a_refused_and_a_recovered_auxiliary_have_a_line_each(log):
    refused = refused_auxiliary(AuxiliaryKind.NEXT, detail="expired keys for app <id>")
    for each in (refused, refused, auxiliary_result(AuxiliaryKind.NEXT), auxiliary_result(AuxiliaryKind.NEXT), refused):
        log.auxiliary_recorded(fully_declared(), each)
    assert log.lines()[0] == (
        'level=warn msg="auxiliary probe failed" target=contoso-key0 vault=contoso-prod.vault.azure.net what=next '
        "name=sql-prod-2027 credential=sql-prod-2027 sql_servers=SQLPRD01,SQLPRD02 step=token code=3303 "
        "symbol=ErrorGetTokenBadCredentials reason=secret_expired status=401 service_code=invalid_client aadsts=7000222 "
        'request_id=r-1 phase=transfer detail="expired keys for app <id>"'
    )
    assert log.messages() == [
        "auxiliary probe failed",
        "auxiliary probe recovered",
        "auxiliary probe failed",
    ]
    assert log.lines()[1].startswith("level=info")


LOST = refused_auxiliary(AuxiliaryKind.NEXT, usable=None, code=3008, reason=Reason.CONNECT_TIMEOUT)
REFUSED = refused_auxiliary(AuxiliaryKind.NEXT)


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        ([LOST, auxiliary_result(AuxiliaryKind.NEXT), REFUSED, LOST, REFUSED], 1),
        ([REFUSED, refused_auxiliary(AuxiliaryKind.RECOVERY), auxiliary_result(AuxiliaryKind.RETAINED)], 2),
    ],
    ids=["unknown", "two auxiliary probes"],
)
def test_refused_auxiliary_probe_has_one_line(log, results, lines):
    for result in results:
        log.auxiliary_recorded(fully_declared(), result)
    log.record(fully_declared(), good())
    assert log.messages() == ["auxiliary probe failed"] * lines


def test_auxiliary_results_after_forget_are_logged_again(log):
    log.auxiliary_recorded(fully_declared(), refused_auxiliary(AuxiliaryKind.NEXT))
    log.forget("contoso-key0")
    log.auxiliary_recorded(fully_declared(), refused_auxiliary(AuxiliaryKind.NEXT))
    assert len(log.lines()) == 2
    log.auxiliary_recorded(fully_declared(), auxiliary_result(AuxiliaryKind.NEXT))
    assert log._unusable == {}


def test_a_failed_wrap_and_unwrap_are_named_by_the_unwrap(log):
    report = wrap_and_unwrap_failed()
    log.record(target(), report)
    assert " step=unwrap_key code=3077 " in log.lines()[0]
    assert " reason=key_disabled" in log.lines()[0]
    payload = probe_payload(target(), report)
    assert (payload["step"], payload["reason"]) == ("wrap_key", "key_expired")  # the first failure, by contract
    assert payload["deciding_step"] == "unwrap_key"
    assert [dict(labels)["step"] for labels, _ in OUTCOME.of(outcome_of(report))["ekm_last_failure_info"]] == [Step.UNWRAP_KEY]
