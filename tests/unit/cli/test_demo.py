"""`demo` reports why its simulator did not start."""

import subprocess
import sys

import pytest

from exporter.cli import demo, simulate
from exporter.cli.main import Refusal
from exporter.simulator.story import CONFIG, STORY

READY = "management port: http://127.0.0.1:1"
SLOW = "import time; time.sleep(600)"


def url_of(program: str) -> str:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - a test's program
        try:
            return demo._management_url(child)
        finally:
            child.kill()


def test_simulator_that_is_ready_has_a_url():
    assert url_of(f"print({READY!r})") == "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("program", "patience", "why"),
    [
        ("raise SystemExit(7)", 60.0, "ended with exit code 7 before it was ready"),
        ("print('something else')", 60.0, "ended with exit code 0 before it was ready"),
        (SLOW, 0.2, "was not ready after 0.2 seconds"),
    ],
)
def test_simulator_that_does_not_start_is_reported_with_the_cause(monkeypatch, program, patience, why):
    monkeypatch.setattr(demo, "_START_SECONDS", patience)
    with pytest.raises(Refusal, match=f"^the simulator {why}$") as caught:
        url_of(program)
    assert caught.value.code == 3


def test_slow_computer_has_minutes_to_start_the_simulator():
    """Twenty seconds were too few under Wine, and for a first start on Windows."""
    assert demo._START_SECONDS >= 120


def test_banner_on_windows_has_commands_of_powershell(monkeypatch):
    monkeypatch.setattr(simulate, "is_windows", lambda: True)
    banner = demo._banner("127.0.0.1:1", "http://127.0.0.1:2")
    assert "curl" not in banner
    assert "  repair:      irm -Method DELETE http://127.0.0.1:2/sim/fault\n" in banner


def test_banner_counts_the_vaults_that_stay_broken_and_those_that_fail_in_waves():
    failing = [event for event in STORY if event.scenario is not None]
    lasting, waves = ({event.vault for event in failing if (event.every is None) is stays} for stays in (True, False))
    assert (len(lasting), len(waves)) == (6, 1)
    assert "eleven simulated vaults on loopback. Six of them stay broken, one fails in waves." in demo._banner("a", "b")
    assert CONFIG.count("- name: ") == 11
