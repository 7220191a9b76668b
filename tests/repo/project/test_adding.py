"""A copy of the project gets a reason, a metric, a setting and an alert by CONTRIBUTING's table "Adding something" alone.

All edits of the table together pass the tests that guard the tables.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.repo.project.additions import ADDITIONS, Addition, Edit
from tests.repo.project.contributing import ROOT, places, rows, section

NOTICED = [(one, edit) for one in ADDITIONS.values() for edit in one.edits if edit.noticed]
GENERATORS = ("alerts.build", "docs.generators.every_page")
GUARDS = (
    "tests/integration/simulator/test_scenario_table.py",
    "tests/repo/release/test_generated_pages.py",
    "tests/system/alerts/test_rules.py",
    "tests/system/alerts/test_runbooks.py",
    "tests/unit/config/test_documentation.py",
    "tests/unit/config/test_load.py",
    "tests/unit/knowledge/test_reasons.py",
    "tests/unit/metrics/test_families.py",
    "tests/unit/metrics/test_levels.py::test_the_level_minimal_has_only_what_rules_use",
    "tests/unit/presentation/test_expiries.py",
    *sorted({edit.noticed for _, edit in NOTICED}),
)


def python(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(  # noqa: S603 - the project's own modules
        [sys.executable, "-m", *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


def failures(copy: Path, tests: Iterable[str]) -> Mapping[str, str]:
    """Return the texts of the failures, by the name of the test."""
    report = copy / "report.xml"
    unused = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis")
    done = python(copy, "pytest", "-q", *unused, "-m", "not real", f"--junitxml={report}", *tests)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    cases = ET.parse(report).iter("testcase")  # noqa: S314 - pytest wrote it
    return {
        f"{case.get('classname')}.{case.get('name')}": problem.text or ""
        for case in cases
        for problem in (*case.iter("failure"), *case.iter("error"))
    }


def apply(copy: Path, edit: Edit) -> None:
    place = copy / edit.path
    text = place.read_text(encoding="utf-8") if edit.before else ""
    assert not edit.before or text.count(edit.before) == 1, f"{edit.path} has changed: {edit.before}"
    place.write_text(text.replace(edit.before, edit.text + edit.before) if edit.before else edit.text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tracked, tmp_path_factory):
    """Return a copy of the tracked files with all additions and what the generators make of them."""
    copy = tmp_path_factory.mktemp("copy")
    for path in tracked:
        place = copy / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)
    for addition in ADDITIONS.values():
        for edit in addition.edits:
            apply(copy, edit)
    for module in GENERATORS:
        done = python(copy, module)
        assert done.returncode == 0, done.stderr
    return copy


@pytest.fixture(scope="module")
def complete(copy):
    """Return the failures with all edits."""
    return failures(copy, GUARDS)


@pytest.mark.parametrize("addition", ADDITIONS.values(), ids=ADDITIONS)
def test_row_names_every_file_of_an_addition(addition: Addition):
    named = places(rows(section("Adding something"))[addition.row])
    assert [edit.path for edit in addition.edits if not named & {ROOT / edit.path, *(ROOT / edit.path).parents}] == []


def test_additions_by_the_table_alone_are_complete(complete):
    assert not complete, "\n\n".join(complete.values())
