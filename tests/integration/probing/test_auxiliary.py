"""Auxiliary probes through the real SDK against the simulator: results and requests."""

import pytest

from exporter.core.values import Mode, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.probing.auxiliary import auxiliary_probes
from exporter.runtime.loop import LoopLag
from exporter.simulator.simulator import Simulator
from tests.support import auxiliary_simulated
from tests.support.auxiliary_factories import NAMES, PINNED, TARGET, TODAY, plain
from tests.support.auxiliary_simulated import ARCHIVE, PRIMARY, RECOVERY
from tests.support.running import a_prober
from tests.support.slow_host import stalled_loop
from tests.support.values import replace


class Harness:
    def __init__(self, simulator, folder):
        self.simulator, self.folder = simulator, folder
        self.bugs, self.requests_to_vaults = [], 0

    async def probe(self, target=TARGET, **module):
        """The report of a probe, and the last auxiliary result of each kind, with a new prober."""
        config = auxiliary_simulated.configuration(self.simulator, self.folder, target=target, **module)
        self.simulator.requests.clear()
        async with a_prober(config, on_internal_error=self.bugs.append, on_vault_requests=self._count) as prober:
            report = await prober.probe_on_demand(target)
            results = {}
            for plan in auxiliary_probes(config, target, report.key, TODAY):
                results[plan.kind] = await prober.auxiliary(plan)
        return report, results

    def _count(self, requests):
        self.requests_to_vaults += requests

    def requests(self, host):
        return auxiliary_simulated.requests_to(self.simulator, host)


@pytest.fixture
async def harness(tmp_path):
    async with Simulator(auxiliary_simulated.environment()) as simulator:
        made = Harness(simulator, tmp_path)
        yield made
    assert made.bugs == []


def failure(result):
    return result.usable, result.failure.step, result.failure.code, result.failure.reason


def usable(results):
    return {what: result.usable for what, result in results.items()}


async def test_healthy_vaults_get_exactly_these_requests(harness):
    report, results = await harness.probe()
    assert report.success
    assert usable(results) == dict.fromkeys(AuxiliaryKind, True)
    assert results[AuxiliaryKind.NEWEST].key.version == PINNED
    # The probe, the staged credential, a retained version of the same vault, and the newest version.
    assert harness.requests(PRIMARY) == {"challenge": 4, "get": 3, "get_newest": 1, "wrapKey": 2, "unwrapKey": 3}
    assert harness.requests(ARCHIVE) == {"challenge": 1, "get": 1, "unwrapKey": 1}
    assert harness.requests(RECOVERY) == {"challenge": 1, "get": 1, "unwrapKey": 1}
    assert harness.requests_to_vaults == 13 + 3 + 3


async def test_read_only_mode_proves_no_key(harness):
    _, results = await harness.probe(mode=Mode.READ_ONLY)
    assert usable(results) == {
        AuxiliaryKind.NEXT: None,
        AuxiliaryKind.RETAINED: None,
        AuxiliaryKind.NEWEST: True,
        AuxiliaryKind.RECOVERY: None,
    }
    assert set(harness.requests(PRIMARY)) == {"challenge", "get", "get_newest"}
    for host in (ARCHIVE, RECOVERY):
        assert set(harness.requests(host)) == {"challenge", "get"}


async def test_staged_credential_with_wrong_secret_is_refused(harness):
    (harness.folder / "staged").write_text("wrong")
    report, results = await harness.probe()
    assert report.success
    assert failure(results[AuxiliaryKind.NEXT])[:3] == (False, Step.TOKEN, 3303)


@pytest.mark.parametrize(
    ("versions", "step", "reason"),
    [((PINNED, 9), Step.UNWRAP_KEY, None), (("e" * 32, 2), Step.GET_KEY, Reason.KEY_NOT_FOUND)],
    ids=["another key", "no such version"],
)
async def test_recovery_vault_without_the_key_fails(harness, versions, step, reason):
    harness.simulator.state.environment.vaults[RECOVERY].keys.update(auxiliary_simulated.a_key("Key0", versions))
    _, results = await harness.probe()
    usable, at, _, why = failure(results[AuxiliaryKind.RECOVERY])
    assert (usable, at) == (False, step)
    assert reason in (None, why)


async def test_newer_version_is_found_by_reading_alone(harness):
    harness.simulator.set_fault("key_rotated", vault=PRIMARY)
    report, results = await harness.probe(plain())
    assert report.success
    assert results[AuxiliaryKind.NEWEST].key.version not in (None, PINNED)


async def test_soft_deleted_key_has_its_purge_time(harness):
    harness.simulator.apply("key_soft_deleted", vault=PRIMARY)
    report, _ = await harness.probe(plain())
    assert report.first_failure.reason is Reason.KEY_SOFT_DELETED
    assert report.purge_at > report.started_at
    assert harness.requests(PRIMARY)["get_deleted"] >= 1


async def test_auxiliary_results_have_no_secret(harness):
    report, results = await harness.probe()
    seen = repr([report, results])
    assert not [name for name in NAMES if auxiliary_simulated.SECRET.format(name) in seen]


async def test_silent_recovery_vault_is_not_known_on_a_slow_host(harness):
    """Its last result does not stay."""
    target, lag = replace(TARGET, timeout=2.0), LoopLag()
    config = auxiliary_simulated.configuration(harness.simulator, harness.folder, target=target)
    lag.start()
    async with a_prober(config, lag=lag) as prober:
        report = await prober.probe_on_demand(target)
        (plan,) = (each for each in auxiliary_probes(config, target, report.key, TODAY) if each.kind is AuxiliaryKind.RECOVERY)
        harness.simulator.set_fault("silent", vault=RECOVERY)
        with stalled_loop():
            result = await prober.auxiliary(plan)
    lag.stop()
    assert failure(result)[:2] == (None, Step.CHALLENGE)
