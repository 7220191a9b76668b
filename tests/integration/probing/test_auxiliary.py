"""Looks through the real SDK against the simulator: what each says of what is broken, and what each asks for."""

import pytest

from exporter.core.auxiliary import AuxiliaryKind
from exporter.core.faults import Reason
from exporter.core.model import Mode, Outcome, Step
from exporter.probing.auxiliary_plan import AuxiliaryProbe, auxiliary_probes
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop_lag import LoopLag
from exporter.simulator import Simulator
from tests.support import auxiliary_simulated
from tests.support.auxiliary_factories import NAMES, OLDER, PINNED, TARGET, TODAY, plain


class Scene:
    def __init__(self, simulator, folder):
        self.simulator, self.folder = simulator, folder
        self.bugs, self.requests_to_vaults = [], 0

    async def probe(self, target=TARGET, **module):
        """The main probe's report, and the looks by kind (the last of each), made from nothing."""
        config = auxiliary_simulated.configuration(self.simulator, self.folder, target=target, **module)
        callbacks = ProberCallbacks(
            bug=self.bugs.append, starved=lambda _shortage: None, token_requested=lambda: None, vault_requested=self._count
        )
        prober = Prober(config, lag=LoopLag(), callbacks=callbacks)
        self.simulator.requests.clear()
        try:
            report = await prober.probe_on_demand(target)
            results = {}
            for plan in auxiliary_probes(config, target, report.key, TODAY):
                results[plan.what] = await prober.auxiliary(plan)
        finally:
            await prober.aclose()
        return report, results

    def _count(self, requests):
        self.requests_to_vaults += requests

    def requests(self, host):
        """What was asked of a vault, how often, without the statuses."""
        found = {}
        for (requests, operation, _), count in self.simulator.requests.items():
            if requests == host:
                found[operation] = found.get(operation, 0) + count
        return found


@pytest.fixture
async def scene(tmp_path):
    simulator = Simulator(auxiliary_simulated.estate())
    await simulator.start()
    made = Scene(simulator, tmp_path)
    yield made
    await simulator.stop()
    assert made.bugs == []


def usable(results):
    return {what: result.usable for what, result in results.items()}


async def test_where_all_is_well_every_look_says_yes_and_the_vaults_are_asked_just_what_they_must_be(scene):
    report, results = await scene.probe()
    assert report.success
    assert usable(results) == dict.fromkeys(AuxiliaryKind, True)
    assert results[AuxiliaryKind.NEWEST].key.version == PINNED
    # the main probe, the staged credential, a retained version of the same vault, and the newest version
    assert scene.requests(auxiliary_simulated.PRIMARY) == {
        "challenge": 4,
        "get": 3,
        "get_newest": 1,
        "wrapKey": 2,
        "unwrapKey": 3,
    }
    assert scene.requests(auxiliary_simulated.ARCHIVE) == {"challenge": 1, "get": 1, "unwrapKey": 1}
    assert scene.requests(auxiliary_simulated.RECOVERY) == {"challenge": 1, "get": 1, "unwrapKey": 1}
    assert scene.requests_to_vaults == 13 + 3 + 3


async def test_in_mode_read_only_nothing_wraps_or_unwraps_and_no_look_says_yes_to_a_key(scene):
    _, results = await scene.probe(mode=Mode.READ_ONLY)
    assert usable(results) == {
        AuxiliaryKind.NEXT: None,
        AuxiliaryKind.RETAINED: None,
        AuxiliaryKind.NEWEST: True,
        AuxiliaryKind.RECOVERY: None,
    }
    assert set(scene.requests(auxiliary_simulated.PRIMARY)) == {"challenge", "get", "get_newest"}
    for host in (auxiliary_simulated.ARCHIVE, auxiliary_simulated.RECOVERY):
        assert set(scene.requests(host)) == {"challenge", "get"}


async def test_a_staged_credential_with_a_wrong_secret_is_refused(scene):
    (scene.folder / "staged").write_text("wrong")
    report, results = await scene.probe()
    assert report.success
    assert results[AuxiliaryKind.NEXT].usable is False
    assert (results[AuxiliaryKind.NEXT].failure.step, results[AuxiliaryKind.NEXT].failure.code) == (Step.TOKEN, 3303)


async def test_of_another_hosts_identity_nothing_is_said_though_this_hosts_own_was_taken(scene, monkeypatch):
    monkeypatch.setattr(AuxiliaryProbe, "is_of_another_host", property(lambda plan: plan.what is AuxiliaryKind.NEXT))
    _, results = await scene.probe()
    assert usable(results) == dict.fromkeys(AuxiliaryKind, True) | {AuxiliaryKind.NEXT: None}


async def test_a_staged_credential_without_a_permission_is_refused_by_the_vault(scene):
    config_client = auxiliary_simulated.CLIENTS["staged"]
    vault = scene.simulator.world.estate.vaults[auxiliary_simulated.PRIMARY]
    vault.permissions[config_client] = frozenset({"get", "unwrapKey"})
    _, results = await scene.probe()
    failure = results[AuxiliaryKind.NEXT].failure
    assert results[AuxiliaryKind.NEXT].usable is False
    assert (failure.step, failure.code, failure.reason) == (Step.WRAP_KEY, 3113, Reason.FORBIDDEN_POLICY)


async def test_an_expired_key_still_opens_databases_for_the_staged_credential_too(scene):
    scene.simulator.apply("key_expired", vault=auxiliary_simulated.PRIMARY)
    report, results = await scene.probe()
    assert report.readiness.ready
    assert report.step(Step.WRAP_KEY).outcome is Outcome.FAILED
    assert usable(results) == dict.fromkeys(AuxiliaryKind, True)


async def test_a_disabled_key_is_no_fault_of_the_staged_credential_and_one_of_the_retained_version(scene):
    scene.simulator.set_fault("key_disabled", vault=auxiliary_simulated.ARCHIVE)
    scene.simulator.set_fault("key_disabled", vault=auxiliary_simulated.PRIMARY)
    _, results = await scene.probe()
    assert results[AuxiliaryKind.NEXT].usable is None
    assert results[AuxiliaryKind.RETAINED].name == f"Archive/{OLDER}"
    assert results[AuxiliaryKind.RETAINED].usable is False
    assert results[AuxiliaryKind.RETAINED].failure.reason is Reason.KEY_DISABLED


async def test_a_retained_key_that_was_deleted_is_found_among_the_deleted_ones(scene):
    scene.simulator.set_fault("key_soft_deleted", vault=auxiliary_simulated.ARCHIVE)
    _, results = await scene.probe()
    assert results[AuxiliaryKind.RETAINED].failure.reason is Reason.KEY_SOFT_DELETED
    assert results[AuxiliaryKind.RETAINED].usable is False


async def test_a_recovery_vault_with_another_key_of_the_same_name_recovers_nothing(scene):
    vault = scene.simulator.world.estate.vaults[auxiliary_simulated.RECOVERY]
    vault.keys.update(auxiliary_simulated.a_key("Key0", (PINNED, 9)))
    _, results = await scene.probe()
    assert results[AuxiliaryKind.RECOVERY].usable is False
    assert results[AuxiliaryKind.RECOVERY].failure.step is Step.UNWRAP_KEY


async def test_a_recovery_vault_without_the_pinned_version_recovers_nothing(scene):
    vault = scene.simulator.world.estate.vaults[auxiliary_simulated.RECOVERY]
    vault.keys.update(auxiliary_simulated.a_key("Key0", ("e" * 32, 2)))
    _, results = await scene.probe()
    assert (results[AuxiliaryKind.RECOVERY].usable, results[AuxiliaryKind.RECOVERY].failure.reason) == (
        False,
        Reason.KEY_NOT_FOUND,
    )


async def test_a_recovery_vault_that_cannot_be_reached_says_nothing(scene):
    scene.simulator.set_fault("vault_forbidden_firewall", vault=auxiliary_simulated.RECOVERY)
    _, results = await scene.probe()
    assert results[AuxiliaryKind.RECOVERY].usable is None


async def test_a_newer_version_is_seen_by_whoever_may_only_read(scene):
    scene.simulator.set_fault("key_rotated", vault=auxiliary_simulated.PRIMARY)
    report, results = await scene.probe(plain())
    assert report.success
    assert results[AuxiliaryKind.NEWEST].key.version not in (None, PINNED)


async def test_a_soft_deleted_key_is_told_with_the_day_of_its_end(scene):
    scene.simulator.apply("key_soft_deleted", vault=auxiliary_simulated.PRIMARY)
    report, _ = await scene.probe(plain())
    assert report.first_failure.reason is Reason.KEY_SOFT_DELETED
    assert report.purge_at > report.started_at
    assert scene.requests(auxiliary_simulated.PRIMARY)["get_deleted"] >= 1


async def test_no_look_ever_sends_a_secret_or_a_token_of_one_identity_as_another(scene):
    report, results = await scene.probe()
    seen = repr([report, results])
    assert not [name for name in NAMES if auxiliary_simulated.SECRET.format(name) in seen]
