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
    Row("tests/unit/bench/test_run.py"),  # no test checks what it measures
    Row("tests/system/alerts/drill/", PACED, each=True),
    Row("tests/integration/lifecycle/", PACED, each=True),
    Row("tests/integration/reload/test_reload.py", PACED, each=True),
    Row("tests/integration/process/", PACED, each=True),
    Row("tests/repo/readme/", PACED),
    Row("tests/system/prometheus/", PACED),
    Row("tests/repo/release/test_two_exporters.py", PACED),
    Row("tests/repo/schema/", PACED),
    Row("tests/integration/simulator/test_chaos.py", PACED, each=True),
    Row("tests/integration/simulator/test_demo_command.py", PACED, each=True),
    Row("tests/integration/doctor/test_command.py", PACED, each=True),
    Row("tests/system/alerts/alertmanager/", PACED),
    Row("tests/system/network/test_doctor.py", PACED),
    Row("tests/system/network/", PACED),
    Row("tests/system/endurance/", ALONE),
    Row("tests/system/abuse/test_abuse.py", ALONE),
    Row("tests/integration/simulator/test_simulate_command.py", ALONE),
    Row("tests/system/alerts/test_cases.py"),
    Row("tests/system/browser/"),
    Row("tests/system/container/"),
    Row("tests/system/dashboards/"),
    Row("tests/unit/core/test_mutation.py"),
    Row("tests/fuzz/test_fuzzer.py"),
    Row("tests/system/helm/"),
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
