"""How a run is shared between processes (`pytest -n`, pytest-xdist): what stays together, what begins first, what runs apart.

For: one table by the beginning of a path.
Not for: how many processes there are (see `dev`).
"""

from dataclasses import dataclass

PACED, ALONE = "paced", "alone"  # the markers of the runs that are apart from what computes, see pyproject.toml


@dataclass(frozen=True)
class Row:
    """`each`: its tests may go to different processes. `run`: the marker of the run of pytest that they belong to."""

    path: str
    run: str = ""
    each: bool = False


# What takes longest comes first, so that it is not the last to begin. A file that is not named stays together.
ROWS = (
    Row("tests/bench/test_run.py"),  # nothing judges what it measures
    Row("tests/alerts/drill/", PACED, each=True),
    Row("tests/story/", PACED, each=True),
    Row("tests/reload/test_reload.py", PACED, each=True),
    Row("tests/process/", PACED, each=True),
    Row("tests/readme/", PACED),
    Row("tests/prometheus/", PACED),
    Row("tests/release/test_two_exporters.py", PACED),
    Row("tests/schema/", PACED),
    Row("tests/simulator/test_chaos.py", PACED, each=True),
    Row("tests/simulator/test_demo_command.py", PACED, each=True),
    Row("tests/doctor/test_doctor_command.py", PACED, each=True),
    Row("tests/alerts/alertmanager/", PACED),
    Row("tests/doctor/test_on_a_computer_of_its_own.py", PACED),
    Row("tests/network/", PACED),
    Row("tests/endurance/", ALONE),
    Row("tests/hostile/test_hostile_use.py", ALONE),
    Row("tests/simulator/test_simulate_command.py", ALONE),
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
