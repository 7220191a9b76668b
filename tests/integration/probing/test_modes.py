"""The requests of each mode, counted at the vault, and its verdicts."""

import pytest

from exporter.core.values import Mode
from exporter.simulator.simulator import Simulator
from tests.support import auxiliary_simulated
from tests.support.auxiliary_factories import OLD, plain
from tests.support.running import a_prober
from tests.support.values import replace


@pytest.fixture
async def simulator():
    async with Simulator(auxiliary_simulated.environment()) as made:
        yield made


async def scheduled(simulator, folder, *, probes=1, between=lambda: None, **module):
    """The reports of scheduled probes, and the requests to the vault. `between` is called after each probe."""
    target = plain()
    config = auxiliary_simulated.configuration(simulator, folder, target=target, **module)
    simulator.requests.clear()
    reports = []
    async with a_prober(config) as prober:
        for _ in range(probes):
            reports.append(await prober.probe_scheduled(target))
            between()
    return reports, auxiliary_simulated.requests_to(simulator, auxiliary_simulated.PRIMARY)


READ, WHOLE = {"challenge": 1, "get": 1}, {"challenge": 1, "get": 1, "wrapKey": 1, "unwrapKey": 1}


@pytest.mark.parametrize(
    ("mode", "broken", "expected", "verdict"),
    [
        (Mode.FULL, False, WHOLE, (True, "ready")),
        (Mode.READ_ONLY, False, READ, (None, "read_only")),
        (Mode.CANARY, False, WHOLE, (None, "canary")),
        (Mode.CANARY, True, WHOLE, (None, "canary")),
    ],
)
async def test_mode_has_its_requests_and_its_verdict(simulator, tmp_path, *, mode, broken, expected, verdict):
    if broken:
        simulator.set_fault("key_disabled", vault=auxiliary_simulated.PRIMARY)
    (report,), requests = await scheduled(simulator, tmp_path, mode=mode)
    assert requests == expected
    assert (report.readiness.ready, report.readiness.why) == verdict
    assert report.success is not broken


async def test_mode_read_only_can_be_not_ready(simulator, tmp_path):
    simulator.apply("key_soft_deleted", vault=auxiliary_simulated.PRIMARY)
    (report,), requests = await scheduled(simulator, tmp_path, mode=Mode.READ_ONLY)
    assert report.readiness.ready is False
    assert set(requests) == {"challenge", "get", "get_deleted"}


async def test_between_round_trips_the_last_verdict_is_kept(simulator, tmp_path):
    reports, requests = await scheduled(simulator, tmp_path, probes=3, round_trip_interval=3600.0)
    assert requests == {"challenge": 3, "get": 3, "wrapKey": 1, "unwrapKey": 1}
    assert [report.readiness.ready for report in reports] == [True, True, True]


async def test_disabled_key_starts_a_round_trip_at_once(simulator, tmp_path):
    reports, requests = await scheduled(
        simulator, tmp_path, probes=2, between=lambda: simulator.set_fault("key_disabled", vault=auxiliary_simulated.PRIMARY),
        round_trip_interval=3600.0,
    )  # fmt: skip
    assert [report.readiness.ready for report in reports] == [True, False]
    assert (requests["challenge"], requests["unwrapKey"]) == (3, 2)


@pytest.mark.parametrize("changed", [{"key_version": OLD}, {"credential": "staged"}], ids=["version", "credential"])
async def test_changed_subject_needs_a_new_round_trip(simulator, tmp_path, changed):
    target = plain()
    config = auxiliary_simulated.configuration(simulator, tmp_path, target=target, round_trip_interval=3600.0)
    after = replace(target, **changed)
    async with a_prober(config) as prober:
        before = await prober.probe_scheduled(target)
        simulator.apply("unwrap_forbidden", vault=auxiliary_simulated.PRIMARY)
        prober.reconfigure(replace(config, targets={after.name: after}))
        report = await prober.probe_scheduled(after)
    assert (before.readiness.ready, report.readiness.ready) == (True, False)


async def test_interval_set_again_needs_a_new_round_trip(simulator, tmp_path):
    target = plain()
    config, without = (
        auxiliary_simulated.configuration(simulator, tmp_path, target=target, round_trip_interval=interval)
        for interval in (3600.0, 0.0)
    )
    async with a_prober(config) as prober:
        assert (await prober.probe_scheduled(target)).readiness.ready
        simulator.apply("unwrap_forbidden", vault=auxiliary_simulated.PRIMARY)
        ready = []
        for changed in (without, config):
            prober.reconfigure(changed)
            ready.append((await prober.probe_scheduled(target)).readiness.ready)
    assert ready == [False, False]


async def test_failed_round_trip_is_repeated_by_the_next_probe(simulator, tmp_path):
    simulator.set_fault("key_disabled", vault=auxiliary_simulated.PRIMARY)
    reports, requests = await scheduled(simulator, tmp_path, probes=2, round_trip_interval=3600.0)
    assert (requests["wrapKey"], requests["unwrapKey"]) == (2, 2)
    assert [report.readiness.ready for report in reports] == [False, False]


async def test_refused_token_is_not_reused_beyond_its_window(simulator, tmp_path):
    target = replace(plain(), interval=1e-6)  # the next probe begins after the reuse window
    config = auxiliary_simulated.configuration(simulator, tmp_path, target=target, token_max_age=3600.0)
    async with a_prober(config) as prober:
        assert (await prober.probe_scheduled(target)).success
        fault = simulator.set_fault("vault_token_unknown", vault=auxiliary_simulated.PRIMARY)
        assert (await prober.probe_scheduled(target)).first_failure.code == 3108
        simulator.clear(number=fault.number)
        before = _signed_in(simulator)
        assert (await prober.probe_scheduled(target)).success
    assert _signed_in(simulator) == before + 1


def _signed_in(simulator):
    return sum(count for (_, operation, _), count in simulator.requests.items() if operation == "token")
