"""The share of a vault's limit: the requests that count, and for how long."""

import pytest

from exporter.core.values import Fault, Outcome, Phase, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.metrics.counters import Budgets, share_of
from tests.support.metric_factories import (
    START,
    a_key,
    a_recorder,
    a_report,
    a_target,
    add,
    an_auxiliary_result,
    failed,
    ok,
    probed,
    scrape,
    series,
    throttled,
)

VAULT = "contoso.vault.azure.net"
READ, KEY = 1 / 4000, 1 / 500  # a request about no key; one about a key of 3072 bits in hardware, or an unknown one
SENT = [ok(Step.CHALLENGE), ok(Step.TOKEN), ok(Step.GET_KEY)]


def ratio_of(recorder, vault=VAULT):
    return series(scrape(recorder)).get(("ekm_request_budget_ratio", ("vault", vault)))


@pytest.mark.parametrize(
    ("result", "share"),
    [
        (ok(Step.CHALLENGE), READ),
        (ok(Step.GET_KEY), KEY),
        (ok(Step.TOKEN), 0),
        (ok(Step.WRAP_KEY), KEY),
        (ok(Step.UNWRAP_KEY), KEY),
        (throttled(Step.UNWRAP_KEY), 0),
        (StepResult(step=Step.GET_KEY, outcome=Outcome.SKIPPED), 0),
        (failed(Step.GET_KEY, 3077, Reason.FORBIDDEN_RBAC, status=403), KEY),
        (failed(Step.GET_KEY, 3008, Reason.READ_TIMEOUT, fault=Fault.READ_TIMEOUT), KEY),
        *(
            (failed(Step.CHALLENGE, 3008, Reason.CONNECT_TIMEOUT, fault=Fault.CONNECT_TIMEOUT, phase_reached=phase), 0)
            for phase in (None, Phase.DNS, Phase.CONNECT, Phase.TLS)
        ),
    ],
)
def test_sent_and_unthrottled_requests_count(result, share):
    assert share_of(VAULT, [result], a_key(kty="RSA-HSM", size_bits=3072)) == pytest.approx(share)


def test_a_share_depends_on_the_key_and_on_the_cloud_of_the_vault():
    step, small, large = [ok(Step.UNWRAP_KEY)], a_key(kty="RSA", size_bits=2048), a_key(kty="RSA", size_bits=3072)
    shares = [share_of(vault, step, key) for vault in (VAULT, "contoso.managedhsm.azure.net") for key in (small, large, None)]
    assert shares == [pytest.approx(1 / limit) for limit in (4000, 1000, 500, 11_000, 3_600, 3_600)]


@pytest.mark.parametrize(("after", "kept"), [(0, True), (9, True), (49, True), (60, False), (3600, False), (-60, False)])
def test_after_an_idle_minute_the_ratio_is_zero(after, kept):
    ratios = Budgets().add(VAULT, START, SENT, None, now=START + after)
    assert ratios == {VAULT: pytest.approx(READ + KEY if kept else 0)}


def test_the_busiest_ten_seconds_count():
    budgets = Budgets()
    for at in (0, 3, 9, 10, 40):
        budgets.add(VAULT, START + at, SENT, None, now=START + at)
    assert budgets.sweep(START + 65) == {VAULT: pytest.approx(READ + KEY)}
    assert budgets.add(VAULT, START, a_report().steps, None, now=START + 41) != {}  # a late long probe keeps newer requests


def test_a_sweep_returns_each_change_once():
    budgets = Budgets()
    assert budgets.add(VAULT, START, SENT, None, now=START + 1) == {VAULT: pytest.approx(READ + KEY)}
    assert budgets.sweep(START + 2) == budgets.sweep(START + 30) == {}
    assert budgets.sweep(START + 60) == {VAULT: 0}
    assert budgets.sweep(START + 62) == budgets.sweep(START + 80) == {}


def test_a_scrape_after_an_idle_minute_has_ratio_zero():
    recorder = a_recorder(a_target(interval=300.0))
    probed(recorder, a_report(key=a_key()))
    recorder.sweep(START + 2)
    assert ratio_of(recorder) == pytest.approx(4 * READ)
    recorder.sweep(START + 61)
    assert ratio_of(recorder) == 0


def test_requests_of_a_discarded_probe_count():
    recorder = a_recorder(a_target())
    late = failed(Step.UNWRAP_KEY, 3008, Reason.READ_TIMEOUT, fault=Fault.READ_TIMEOUT)
    report = a_report(steps=[late], key=a_key(), discarded=True)
    probed(recorder, report)
    assert ratio_of(recorder) == pytest.approx(4 * READ)


DR = "contoso-dr.vault.azure.net"
RECOVERED = an_auxiliary_result(AuxiliaryKind.RECOVERY, DR, vault=DR, steps=tuple(SENT))


@pytest.fixture
def recorder():
    """A recorder whose target was probed, and its recovery vault too."""
    made = a_recorder(a_target(recovery_vault=DR))
    probed(made, a_report(key=a_key()))
    made.spend("t", RECOVERED)
    return made


def test_auxiliary_requests_count_for_their_vault(recorder):
    recorder.spend("t", an_auxiliary_result(AuxiliaryKind.NEWEST, "ContosoRSAKey0", steps=tuple(SENT)))
    assert ratio_of(recorder) == pytest.approx(5 * READ + KEY)
    assert ratio_of(recorder, DR) == pytest.approx(READ + KEY)


def test_a_recovery_vault_is_dropped_with_its_last_target(recorder):
    recorder.forget("t")
    recorder.spend("t", RECOVERED)  # of a round that had not ended
    assert ratio_of(recorder, DR) is None


def test_a_reload_drops_a_removed_recovery_vault(recorder):
    add(recorder, a_target())
    assert ratio_of(recorder, DR) is None
    assert ratio_of(recorder) is not None
