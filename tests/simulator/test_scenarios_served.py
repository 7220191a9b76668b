"""Every row of the scenario table, caused on the wire and met by the product's own client through the Azure SDK."""

import asyncio
import time

import pytest
import pytest_asyncio

from exporter.config.model import Config, Credential, CredentialKind, Module, SecretSource, Settings, Target
from exporter.core.catalogue import in_generation
from exporter.core.faults import Reason
from exporter.core.model import Generation, Outcome, Step, Vantage
from exporter.keyvault import Networks, VaultSession, encrypt_locally, fetch_token
from exporter.probe import Grant, Order, Ports, run_probe
from exporter.simulator import Simulator
from exporter.simulator.faults import Scope
from exporter.simulator.faulttable import FAULTS
from exporter.simulator.scenarios import SCENARIOS
from exporter.threads import DaemonPool
from tests.simulator.client import CLIENT, KEY, OTHER, SECRET, TENANT, VAULT, VERSION
from tests.simulator.estates import small_estate

SILENCE = {Reason.READ_TIMEOUT, Reason.TLS_TIMEOUT, Reason.BODY_TIMEOUT}
SOURCE = SecretSource(env="UNUSED")
CREDENTIAL = Credential(name="sql-prod", kind=CredentialKind.CLIENT_SECRET, tenant_id=TENANT, client_id=CLIENT, secret=SOURCE)


class LoopClock:
    def time(self):
        return time.time()

    def monotonic(self):
        return asyncio.get_running_loop().time()


class Prober:
    """The probe with the product's client, without a schedule."""

    def __init__(self, simulator, pool, ca_file):
        self._simulator, self._pool, self._ca_file = simulator, pool, ca_file
        self.bugs = []

    async def probe(self, *, vault=VAULT, generation=Generation.CLASSIC, patience=10.0):
        module = Module(name="default", ca_file=self._ca_file, connect_to=self._simulator.connect_to)
        config = Config(settings=Settings(), credentials={}, modules={"default": module}, targets={})
        network = Networks(config, pool=self._pool).of(module)
        target = Target(
            name="t", vault=vault, key_name=KEY, key_version=VERSION, credential="sql-prod", module="default", interval=60.0,
            timeout=patience, generation=generation, generation_declared=True,
        )  # fmt: skip
        order = Order(target=target, module=module, credential=CREDENTIAL, vantage=Vantage.CENTRAL, timeout=patience)

        async def tokens(challenge, *, deadline):
            answer = await fetch_token(network, CREDENTIAL, SECRET, challenge, deadline=deadline)
            return Grant(facts=answer.facts, token=answer.token, duration=0.0, shared=False)

        async with VaultSession(network, vault, "7.4") as session:
            ports = Ports(vault=session, tokens=tokens, clock=LoopClock(), encrypt=encrypt_locally, on_bug=self.bugs.append)
            return await run_probe(order, ports)


@pytest.fixture(scope="module")
def ca_file(tmp_path_factory):
    return tmp_path_factory.mktemp("authority") / "ca.pem"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(ca_file):
    simulator, pool = Simulator(small_estate()), DaemonPool(8)
    await simulator.start()
    await asyncio.to_thread(ca_file.write_bytes, simulator.ca_pem)
    yield simulator, Prober(simulator, pool, ca_file)
    await simulator.stop()
    pool.close()


@pytest.fixture
def world(running):
    yield running
    running[0].clear()


@pytest.mark.asyncio(loop_scope="module")
async def test_without_a_fault_every_step_succeeds(world):
    _, prober = world
    report = await prober.probe()
    assert report.success
    assert [result.step for result in report.steps] == list(Step)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("generation", list(Generation), ids=str)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_a_scenario_fails_at_its_step_with_its_code_and_reason(world, scenario, generation):
    simulator, prober = world
    simulator.apply(scenario.name, vault=VAULT)
    report = await prober.probe(generation=generation, patience=0.8 if scenario.reason in SILENCE else 10.0)
    failure = report.first_failure
    assert failure is not None
    expected = scenario.classic if generation is Generation.CLASSIC else scenario.current
    assert (failure.step, failure.code, failure.reason) == (scenario.step, expected, scenario.reason)
    assert prober.bugs == []
    before = [result.outcome for result in report.steps if list(Step).index(result.step) < list(Step).index(scenario.step)]
    assert set(before) <= {Outcome.OK}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_broken_vault_does_not_touch_its_neighbour(world):
    simulator, prober = world
    for scenario in SCENARIOS:
        if scenario.scope is Scope.VAULT:
            simulator.apply(scenario.name, vault=VAULT)
    assert (await prober.probe(vault=OTHER)).success


@pytest.mark.asyncio(loop_scope="module")
async def test_an_expired_key_still_unwraps(world):
    simulator, prober = world
    simulator.apply("key_expired", vault=VAULT)
    report = await prober.probe()
    assert report.step(Step.WRAP_KEY).outcome is Outcome.FAILED
    assert report.step(Step.UNWRAP_KEY).outcome is Outcome.OK


@pytest.mark.asyncio(loop_scope="module")
async def test_retry_after_comes_where_the_scenario_sends_it_and_not_elsewhere(world):
    simulator, prober = world
    simulator.apply("throttled", vault=VAULT)
    assert (await prober.probe()).first_failure.facts.retry_after_seconds is None
    simulator.clear()
    simulator.apply("throttled_retry_after", vault=VAULT)
    assert (await prober.probe()).first_failure.facts.retry_after_seconds == 7


@pytest.mark.asyncio(loop_scope="module")
async def test_a_1xx_before_the_answer_is_no_failure(world):
    simulator, prober = world
    simulator.set_fault("informational", vault=VAULT)
    assert (await prober.probe()).success


def test_the_current_codes_are_the_catalogues_twins():
    for scenario in SCENARIOS:
        assert scenario.current == in_generation(scenario.classic, Generation.CURRENT), scenario.name


def test_every_scenario_has_a_name_of_its_own_and_a_fault_that_fits_its_scope():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert [scenario.name for scenario in SCENARIOS if scenario.scope not in FAULTS[scenario.fault_name].scopes] == []
