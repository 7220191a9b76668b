"""How runs share the tests (`pytest --run`) and processes share a run (`pytest -n`, pytest-xdist).

The table has one row for each beginning of a path. `dev` decides on the number of processes.
"""

from dataclasses import dataclass

COMPUTING = "computing"
PURE = "pure"  # covers the pure modules completely, and nothing else is traced
PACED = "paced"  # starts programs that keep a pace, and mostly waits
ALONE = "alone"  # measures lag, memory or time; nothing runs at the same time
RUNS = (COMPUTING, PURE, PACED, ALONE)


@dataclass(frozen=True)
class Row:
    """`each`: the tests may run in different processes."""

    path: str
    run: str = COMPUTING
    each: bool = False
    whole: bool = False  # the tests of all its files stay in one process, which starts their programs once


# The longest tests come first, so that they do not start last. The tests of any other file stay together.
ROWS = (
    Row("tests/system/windows/", whole=True),  # Wine computes: a start of the exporter takes two seconds of a processor
    Row("tests/system/alerts/drill/", PACED),
    Row("tests/system/endurance/", PACED, each=True),
    Row("tests/integration/lifecycle/", PACED, each=True),
    Row("tests/integration/reload/test_reload.py", PACED, each=True),
    Row("tests/integration/process/", PACED, each=True),
    Row("tests/repo/readme/", PACED),
    Row("tests/system/prometheus/", PACED),
    Row("tests/repo/release/test_two_exporters.py", PACED),
    Row("tests/repo/schema/", PACED),
    Row("tests/integration/simulator/test_demo_command.py", PACED, each=True),
    Row("tests/integration/simulator/test_simulate_command.py", PACED, each=True),
    Row("tests/system/abuse/test_unread_responses.py", PACED, each=True),
    Row("tests/integration/doctor/test_command.py", PACED, each=True),
    Row("tests/system/alerts/alertmanager/", PACED),
    Row("tests/system/production/", PACED),
    Row("tests/system/network/", PACED, whole=True),
    Row("tests/system/third_party/", PACED),
    Row("tests/system/abuse/test_abuse.py", ALONE),
    Row("tests/system/abuse/test_password_storm.py", ALONE),
    Row("tests/system/alerts/test_cases.py"),
    Row("tests/system/alerts/matrix/"),
    Row("tests/system/browser/"),
    Row("tests/system/container/"),
    Row("tests/system/dashboards/", whole=True),
    Row("tests/unit/knowledge/test_mutation.py"),  # tracing would multiply its time
    Row("tests/fuzz/test_fuzzer.py"),
    Row("tests/system/helm/"),
    Row("tests/unit/clients/test_answers.py", PURE),
    Row("tests/unit/core/", PURE),
    Row("tests/unit/doctor/test_host_rules.py", PURE),
    Row("tests/unit/explain/", PURE),
    Row("tests/unit/inventory/", PURE),
    Row("tests/unit/knowledge/", PURE),
    Row("tests/unit/report/", PURE),
    Row("tests/unit/sqlserver/", PURE),
    Row("tests/unit/windows/", PURE),
)
_ANY = Row("")


def _rank(nodeid: str) -> int:
    return next((rank for rank, row in enumerate(ROWS) if nodeid.startswith(row.path)), len(ROWS))


def row_of(nodeid: str) -> Row:
    return (*ROWS, _ANY)[_rank(nodeid)]


def together(nodeid: str) -> str:
    """The name of the group of tests that one process runs without interruption."""
    row = row_of(nodeid)
    return nodeid if row.each else row.path if row.whole else nodeid.partition("::")[0]


def order(nodeid: str) -> int:
    """The key that sorts tests into their starting order."""
    return _rank(nodeid)
