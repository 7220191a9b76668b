"""The auxiliary probes of a target: which there are, their requests, and when they run."""

import asyncio

import pytest

from exporter.config.settings import Module
from exporter.core.values import CredentialKind, Facts, Fault, Mode, Outcome, Readiness, Step, Vantage
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import AuxiliaryKind, AuxiliaryResult
from exporter.probing.auxiliary import AuxiliaryRunner, auxiliary_probes, is_due
from tests.support.auxiliary_factories import KEY, OLD, OLDER, PINNED, TARGET, TODAY, a_config, plain
from tests.support.factories import DISCARDED
from tests.support.values import replace

# The auxiliary probes of a target, their requests, and when they are due.


def planned(target=TARGET, *, key=KEY, today=TODAY, module=None):
    return {plan.name: plan for plan in auxiliary_probes(a_config(target, module=module), target, key, today)}


def test_plan_has_everything_declared_and_the_newest_version():
    assert [(plan.kind, plan.name) for plan in planned().values()] == [
        (AuxiliaryKind.NEXT, "staged"),
        (AuxiliaryKind.RETAINED, f"Key0/{OLD}"),
        (AuxiliaryKind.RETAINED, f"Archive/{OLDER}"),
        (AuxiliaryKind.NEWEST, "Key0"),
        (AuxiliaryKind.RECOVERY, "contoso-dr.vault.azure.net"),
    ]


@pytest.mark.parametrize(
    ("name", "goal", "wrap", "public_key"),
    [
        ("staged", ("staged", TARGET.vault, TARGET.key), True, None),
        (f"Archive/{OLDER}", ("old", "old.vault.azure.net", f"Archive/{OLDER}"), False, None),
        ("contoso-dr.vault.azure.net", ("dr", "contoso-dr.vault.azure.net", TARGET.key), False, KEY),
    ],
    ids=["staged", "retained", "recovery"],
)
def test_request_has_credential_vault_and_key(name, goal, wrap, public_key):
    request = planned()[name].request
    assert (request.credential.name, request.target.vault, request.target.key) == goal
    assert (request.wrap, request.public_key, request.module.mode) == (wrap, public_key, Mode.FULL)


@pytest.mark.parametrize(
    ("kind", "vantage", "expected"),
    [
        (CredentialKind.MANAGED_IDENTITY, Vantage.CENTRAL, True),
        (CredentialKind.MANAGED_IDENTITY, Vantage.SQL_HOST, False),
        (CredentialKind.CLIENT_SECRET, Vantage.CENTRAL, False),
    ],
)
def test_staged_identity_of_a_central_exporter_is_another_host(kind, vantage, expected):
    config = a_config()
    staged = replace(config.credentials["staged"], kind=kind)
    config = replace(
        config, settings=replace(config.settings, vantage=vantage), credentials=config.credentials | {"staged": staged}
    )
    found = [plan.is_of_another_host for plan in auxiliary_probes(config, TARGET, KEY, TODAY)]
    assert found == [expected, *[False] * 4]


def test_recovery_probe_has_the_last_known_key_and_the_credential_of_the_target_by_default():
    dr = "contoso-dr.vault.azure.net"
    assert planned(replace(TARGET, recovery_credential=None))[dr].request.credential.name == "now"
    assert planned(plain(key_version=None, recovery_vault=dr))[dr].request.target.key_version == PINNED
    assert dr not in planned(key=None)


def test_newest_version_is_only_read():
    request = planned()["Key0"].request
    assert request.target.key_version is None
    assert not request.round_trip
    assert request.module == a_config(TARGET).modules["default"]  # else the prober has no network for it


def test_read_only_mode_applies_to_auxiliary_probes():
    requests = [plan.request for plan in planned(module=Module(name="default", mode=Mode.READ_ONLY)).values()]
    assert {request.module.mode for request in requests} == {Mode.READ_ONLY}


@pytest.mark.parametrize(
    ("succeeded_at", "now", "expected"),
    [(None, 1000.0, True), (1000.0, 1299.0, False), (1000.0, 1300.0, True), (1000.0, 900.0, True)],
    ids=["no success", "fresh success", "old success", "clock set back"],
)
def test_auxiliary_probe_is_due_after_interval_or_failure(succeeded_at, now, expected):
    assert is_due(succeeded_at, 300.0, now) is expected


# Due auxiliary probes run after a probe, one after the other.

ALL = auxiliary_probes(a_config(), TARGET, KEY, TODAY)
NAMES = [plan.name for plan in ALL]
STAGED = ALL[:1]
NOT_TESTED = Readiness(ready=None, why="not_tested")


def a_report(*, readiness=NOT_TESTED, **failure):
    outcome = Outcome.FAILED if failure else Outcome.OK
    steps = (StepResult(step=Step.CHALLENGE, outcome=outcome, **failure),)
    return ProbeReport(target="t", started_at=0.0, duration=0.1, steps=steps, readiness=readiness)


class FakeProbes:
    """Fake auxiliary probes.

    `answers` are results by name: true, false, none or an exception. The default is true.
    """

    def __init__(self):
        self.made, self.reported, self.bugs, self.now, self.answers = [], [], [], 1000.0, {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = self.most_at_once = 0

    def runner(self, concurrency=4):
        return AuxiliaryRunner(
            self._make,
            on_result=lambda target, result: self.reported.append((target.name, result.name)),
            on_internal_error=self.bugs.append,
            concurrency=concurrency,
            clock=lambda: self.now,
        )

    async def _make(self, plan):
        self.made.append(plan.name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        answer = self.answers.get(plan.name, True)
        if isinstance(answer, BaseException):
            raise answer
        if answer is None:
            return None
        step = StepResult(
            step=Step.TOKEN, outcome=Outcome.OK if answer else Outcome.FAILED, reason=None if answer else Reason.SECRET_WRONG
        )
        target = plan.request.target
        return AuxiliaryResult(
            kind=plan.kind,
            name=plan.name,
            vault=target.vault,
            credential=target.credential,
            at=self.now,
            usable=answer,
            steps=(step,),
        )


@pytest.fixture
def fakes():
    return FakeProbes()


def start(runner, wanted, *, target=TARGET, report=None, interval=0.0):
    runner.start_due(target, report or a_report(), [each.identity for each in wanted], lambda: wanted, interval=interval)


async def follow(runner, report=None, *, wanted=ALL):
    start(runner, wanted, report=report, interval=300.0)
    await runner.wait_idle()


async def test_successful_auxiliary_probe_waits_for_its_interval(fakes):
    runner = fakes.runner()
    await follow(runner)
    fakes.now += 299
    await follow(runner)
    assert fakes.made == NAMES
    fakes.now += 1
    await follow(runner)
    assert fakes.made == NAMES * 2


async def test_nothing_is_planned_while_each_result_is_fresh(fakes):
    runner = fakes.runner()
    await follow(runner, wanted=STAGED)
    fakes.now += 299
    runner.start_due(TARGET, a_report(), [each.identity for each in STAGED], pytest.fail, interval=300.0)
    runner.start_due(TARGET, a_report(), [], pytest.fail, interval=0.0)


@pytest.mark.parametrize(("answer", "reported"), [(False, 2), (None, 1)], ids=["failed", "not made"])
async def test_probe_without_a_success_is_repeated_after_each_probe(fakes, answer, reported):
    runner = fakes.runner()
    fakes.answers["staged"] = answer
    await follow(runner, wanted=STAGED)
    fakes.answers.clear()
    await follow(runner, wanted=STAGED)
    await follow(runner, wanted=STAGED)
    assert (fakes.made, fakes.reported) == (["staged"] * 2, [("t", "staged")] * reported)


@pytest.mark.parametrize(("bug", "kind"), [(ZeroDivisionError, ZeroDivisionError), (asyncio.CancelledError, RuntimeError)])
async def test_error_in_one_auxiliary_probe_stops_no_other(fakes, bug, kind):
    fakes.answers["staged"] = bug()
    await follow(fakes.runner())
    assert fakes.made == NAMES
    assert [type(bug) for bug in fakes.bugs] == [kind]


@pytest.mark.parametrize(
    "failure",
    [
        {"reason": Reason.THROTTLED, "facts": Facts(fault=Fault.HTTP_STATUS, status=429)},
        {"reason": Reason.READ_TIMEOUT, "facts": Facts(fault=Fault.READ_TIMEOUT), "readiness": DISCARDED},
    ],
    ids=["throttled", "discarded"],
)
async def test_probe_that_was_throttled_or_discarded_starts_none(fakes, failure):
    await follow(fakes.runner(), a_report(**failure))
    assert fakes.made == []


async def test_running_round_prevents_a_second_one(fakes):
    runner = fakes.runner()
    fakes.gate.clear()
    start(runner, STAGED)
    await asyncio.sleep(0)
    start(runner, STAGED)
    fakes.gate.set()
    await runner.wait_idle()
    assert fakes.made == ["staged"]


async def test_concurrent_auxiliary_probes_never_exceed_the_slots(fakes):
    runner = fakes.runner(concurrency=2)
    fakes.gate.clear()
    for number in range(6):
        target = type("T", (), {"name": f"t{number}"})()
        start(runner, STAGED, target=target)
    for _ in range(20):
        await asyncio.sleep(0)
    fakes.gate.set()
    await runner.wait_idle()
    assert len(fakes.made) == 6
    assert fakes.most_at_once == 2


@pytest.mark.parametrize("removed", [True, False])
async def test_removed_target_or_closed_runner_reports_nothing(fakes, removed):
    runner = fakes.runner()
    fakes.gate.clear()
    start(runner, ALL)
    await asyncio.sleep(0)
    if removed:
        runner.forget("t")
        fakes.gate.set()
    await runner.aclose()
    assert fakes.reported == []
