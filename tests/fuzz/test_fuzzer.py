"""A short run of the fuzzer over each target; a failing input stays in the folder `crashers`."""

import os
import re
import subprocess
import sys

import pytest

from tests.fuzz.fuzz import NAMES, ROOT, _requested

EXECUTIONS = 1000


@pytest.fixture(scope="module")
def short_run():
    """A run over all targets; each may take 600 seconds."""
    command = [sys.executable, "-m", "tests.fuzz.fuzz", f"--runs={EXECUTIONS}", str(600 * len(NAMES))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # measured coverage slows it
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=900)  # noqa: S603 - a command of this project


@pytest.mark.fuzz
def test_short_run_finds_no_crash(short_run):
    assert short_run.returncode == 0, short_run.stdout + short_run.stderr


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_short_run_is_guided_by_coverage(name, short_run):
    output = re.search(rf"^{name}: (\d+) executions in \d+ s \(\d+/s\), (\d+) edges", short_run.stdout, re.MULTILINE)
    assert output is not None, short_run.stdout
    assert int(output[1]) >= EXECUTIONS
    assert int(output[2]) > 40  # the instrumentation of the exporter guides the fuzzer


@pytest.mark.parametrize("argument", ["0", "-5", "answers", "1.5"])
def test_unknown_argument_is_refused(argument):
    with pytest.raises(SystemExit, match=f"'{argument}'"):
        _requested([argument])
