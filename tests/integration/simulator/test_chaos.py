"""Chaos: the seed determines the events, each event is reported, and each event ends."""

import asyncio
import itertools
import re
from collections import Counter

import pytest

from exporter.cli.main import main
from exporter.simulator import Simulator, chaos
from exporter.simulator.scenarios import BY_NAME, SIMULATED
from tests.integration.simulator.test_simulate_command import banner, end, folder, simulate
from tests.support.patience import PATIENCE
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import HSM, OTHER, VAULT

__all__ = ["folder"]

VAULTS = [VAULT, OTHER, HSM]
LINE = re.compile(r"(\w+) on (\S+) for (\d+)s: expect (\d+).* at (\w+), reason (\w+)")


def first(number, vaults=VAULTS, every=1.0, seed=7):
    return list(itertools.islice(chaos.events(vaults, every, seed), number))


def test_seed_determines_the_events():
    assert first(50) == first(50, vaults=VAULTS[::-1])
    assert first(50) != first(50, seed=8)


def test_every_vault_and_reload_free_scenario_occurs():
    happened = first(20 * len(SIMULATED))
    assert {event.scenario.name for event in happened} == {one.name for one in SIMULATED} - {
        "vault_deleted", "vault_refused", "entra_deleted", "entra_refused",
    }  # fmt: skip
    assert Counter(event.vault for event in happened).keys() == set(VAULTS)


def test_event_lasts_half_to_three_intervals():
    lasting = [event.lasts for event in first(1000, every=10.0)]
    assert 5 <= min(lasting) < 6
    assert 29 < max(lasting) <= 30


async def test_each_event_is_reported_and_active_until_its_end():
    simulator, lines, seen = Simulator(small_environment()), [], []

    def on_line(line):
        lines.append(line)
        seen.append({active.name for active in simulator.state.active})

    raging = asyncio.create_task(chaos.run_chaos(simulator, 0.01, 7, on_line))
    async with asyncio.timeout(PATIENCE):
        while sum(line.endswith("is over") for line in lines) < 20:  # noqa: ASYNC110 - chaos has no event for it
            await asyncio.sleep(0.01)
    raging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await raging
    begun = [line for line in lines if not line.endswith("is over")]
    assert begun == [str(event) for event in first(len(begun), every=0.01)]
    for line, active in zip(lines, seen, strict=True):
        assert line.endswith("is over") or active
    assert sum(line.endswith("is over") for line in lines) >= 20


async def test_command_prints_each_chaos_event(folder):
    process = await simulate(folder, "--chaos", "0.05", "--chaos.seed", "11")
    await banner(process)
    lines = []
    async with asyncio.timeout(PATIENCE):
        while len(lines) < 9:
            line = (await process.stdout.readline()).decode()
            if not line.rstrip().endswith("is over"):
                lines.append(line)
    process.terminate()
    code, _, err = await end(process)
    assert (code, err) == (0, "")
    assert "every 0.05s, seed 11" in lines[0]
    vaults = [
        "contoso-one.vault.azure.net",
        "contoso-dr.vault.azure.net",
        "contoso-two.vault.azure.net",
        "contoso.managedhsm.usgovcloudapi.net",
    ]
    shown = [LINE.search(line).groups() for line in lines[1:]]
    wanted = first(8, vaults=vaults, every=0.05, seed=11)
    assert [(name, vault) for name, vault, *_ in shown] == [(event.scenario.name, event.vault) for event in wanted]
    for name, _, _, code_shown, step, reason in shown:
        assert (int(code_shown), step, reason) == (BY_NAME[name].classic, BY_NAME[name].step, BY_NAME[name].reason)


@pytest.mark.parametrize("seconds", ["0", "-1", "never", "nan", "1e9"])
def test_invalid_chaos_interval_is_refused(folder, capsys, seconds):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--config.file", str(folder / "main.yml"), "--out", str(folder / "sim"), "--chaos", seconds])
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert "--chaos" in err
