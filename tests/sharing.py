"""How a run is shared between processes (`pytest -n`, pytest-xdist): what stays together, what begins first, what keeps a pace.

For: one table by the beginning of a path.
Not for: how many processes there are (see `dev`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`each`: its tests may part. `paced`: it starts programs that keep a pace, so it runs apart from what computes, and mostly waits."""

    path: str
    each: bool = False
    paced: bool = False


# What takes longest comes first, so that it is not the last to begin. A file that is not named stays together.
ROWS = (
    Row("tests/bench/test_run.py", paced=True),
    Row("tests/alerts/drill/", each=True, paced=True),
    Row("tests/story/", each=True, paced=True),
    Row("tests/reload/test_reload.py", each=True, paced=True),
    Row("tests/process/", each=True, paced=True),
    Row("tests/endurance/", each=True, paced=True),
    Row("tests/hostile/test_hostile_use.py", each=True, paced=True),
    Row("tests/readme/", paced=True),
    Row("tests/prometheus/", paced=True),
    Row("tests/release/test_two_exporters.py", paced=True),
    Row("tests/schema/", paced=True),
    Row("tests/simulator/test_simulate_command.py", each=True, paced=True),
    Row("tests/simulator/test_chaos.py", each=True, paced=True),
    Row("tests/simulator/test_demo_command.py", each=True, paced=True),
    Row("tests/doctor/test_doctor_command.py", each=True, paced=True),
    Row("tests/alerts/alertmanager/", paced=True),
    Row("tests/doctor/test_on_a_computer_of_its_own.py", paced=True),
    Row("tests/network/", paced=True),
    Row("tests/alerts/test_scenes.py"),
    Row("tests/browser/"),
    Row("tests/container/"),
    Row("tests/dashboards/"),
    Row("tests/core/test_mutation.py"),
    Row("tests/fuzz/test_fuzzer.py"),
    Row("tests/helm/"),
)
_ANY = Row("")


def _rank(nodeid: str) -> int:
    return next((rank for rank, row in enumerate(ROWS) if nodeid.startswith(row.path)), len(ROWS))


def row_of(nodeid: str) -> Row:
    return (*ROWS, _ANY)[_rank(nodeid)]


def together(nodeid: str) -> str:
    """The name of what one process runs without interruption."""
    return nodeid if row_of(nodeid).each else nodeid.partition("::")[0]


def order(nodeid: str) -> int:
    """Sorts tests into the order in which they begin."""
    return _rank(nodeid)
