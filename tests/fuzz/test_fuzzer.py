"""A short run of the fuzzer over each target; a failing input stays in the folder `crashers`."""

import re
import subprocess
import sys

import pytest

from tests.fuzz.fuzz import NAMES, ROOT

EXECUTIONS = 1000


def command(*arguments):
    return subprocess.run(  # noqa: S603 - a command of this project
        [sys.executable, "-m", "tests.fuzz.fuzz", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_short_run_finds_no_crash(name):
    done = command(f"--runs={EXECUTIONS}", "600", name)
    assert done.returncode == 0, done.stdout + done.stderr
    output = re.match(rf"{name}: (\d+) executions in \d+ s \(\d+/s\), (\d+) edges", done.stdout)
    assert output is not None, done.stdout
    assert int(output[1]) >= EXECUTIONS
    assert int(output[2]) > 40  # the instrumentation of the exporter guides the fuzzer


@pytest.mark.parametrize("argument", ["0", "-5", "answers", "1.5"])
def test_unknown_argument_is_refused(argument):
    done = command(argument)
    assert done.returncode == 1
    assert f"'{argument}'" in done.stderr
