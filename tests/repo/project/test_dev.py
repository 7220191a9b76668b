"""`./dev`: help, unknown arguments, and missing programs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.sharing import PURE, ROWS, RUNS, row_of

NO_TEST = "ci: no closing line of the tests: no test has run"
TOOLS = ("cat", "cksum", "dirname", "env", "id", "rm", "sed", "sort", "tr", "uname")


@pytest.fixture
def bare(tmp_path, root):
    """Return `./dev` of a checkout with a space in its path, and a folder for its few programs."""
    checkout, programs = tmp_path / "a checkout", tmp_path / "bin"
    checkout.mkdir()
    programs.mkdir()
    shutil.copy(root / "dev", checkout)
    shutil.copy(root / "pyproject.toml", checkout)
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool) or tool)
    return checkout, programs


def dev(checkout: Path, *arguments: str, path: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    # The PATH lacks the interpreter of these tests.
    mine = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    environment = {**mine, "PATH": path or os.environ["PATH"], **environment}
    return subprocess.run(  # noqa: S603 - the project's own script
        ["/bin/sh", checkout / "dev", *arguments], capture_output=True, text=True, check=False, timeout=60, env=environment
    )


def program(place: Path, text: str) -> str:
    place.write_text(f"#!/bin/sh\n{text}\n")
    place.chmod(0o755)
    return str(place)


def test_help_lists_exactly_the_verbs(root):
    cases = (root / "dev").read_text().split("case $verb in")[1]
    verbs = set(re.findall(r"^  ([a-z-]+)(?: \|[^)]*)?\)", cases, re.MULTILINE))
    listed = set(re.findall(r"^  ([a-z-]+)\b", dev(root, "help").stdout, re.MULTILINE))
    assert verbs == listed
    assert {"demo", "test", "quick", "lock"} <= verbs


def test_an_unknown_verb_is_an_error_and_not_ignored(root):
    answer = dev(root, "tset")
    assert answer.returncode == 2
    assert "unknown verb 'tset'" in answer.stderr


@pytest.mark.parametrize("arguments", [["--without", "browsers"], ["--without=real,contaner"], ["--with", "real"], ["--without"]])
def test_unknown_part_cannot_be_left_out(root, arguments):
    answer = dev(root, "test", *arguments)
    assert answer.returncode == 1
    assert re.search(r"unknown (part|argument)|needs names", answer.stderr)


@pytest.mark.parametrize(
    ("python", "message"),
    [(None, "no Python 3.11 or newer found"), ('case "$*" in *ensurepip*) exit 1 ;; esac', "apt-get install python3-venv")],
)
def test_missing_python_or_venv_is_named(bare, python, message):
    checkout, programs = bare
    if python is not None:
        program(programs / "python3", python)
    answer = dev(checkout, "demo", path=str(programs))
    assert (answer.returncode, message in answer.stderr) == (1, True)


def test_requested_python_is_not_replaced_by_another(bare):
    checkout, programs = bare
    program(programs / "python3", "exit 0")
    old = program(programs / "old", "exit 1")
    answer = dev(checkout, "demo", path=str(programs), PYTHON=old)
    assert answer.returncode == 1
    assert f"$PYTHON={old}" in answer.stderr


def test_linked_environment_is_refused_and_left_as_it_is(bare):
    """`python -m venv --clear .venv` empties the environment behind a link."""
    checkout, programs = bare
    other = checkout.parent / "other"
    other.mkdir()
    (other / "made-in").write_text("/another/checkout\n")
    (checkout / ".venv").symlink_to(other)
    program(programs / "python3", "exit 0")
    answer = dev(checkout, "demo", path=str(programs))
    assert answer.returncode == 1
    assert answer.stderr.startswith("dev: .venv is a link")
    assert "rm .venv" in answer.stderr
    assert [path.name for path in other.iterdir()] == ["made-in"]


def test_failed_installation_is_named_and_fails(bare):
    checkout, programs = bare
    answer = dev(checkout, "packages", "real", path=str(programs))
    assert answer.returncode == 1
    assert re.search(r"apt-get install .*\bprometheus\b", answer.stderr)
    assert "./dev test --without real" in answer.stderr


def test_present_package_is_not_installed_again(bare):
    checkout, programs = bare
    needed = "prometheus promtool prometheus-alertmanager amtool dnsmasq tinyproxy nft ip nsenter systemd-analyze prometheus-blackbox-exporter vmalert tsql"
    for name in needed.split():
        program(programs / name, "exit 0")
    answer = dev(checkout, "packages", "real", path=str(programs))
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


@pytest.mark.parametrize(
    ("printed", "status", "ended"),
    [
        ("8646 passed, 0 failed", 0, (0, "8646 passed, 0 failed")),
        ("8640 passed, 6 failed", 1, (1, "8640 passed, 6 failed")),
        ("0 passed, 0 failed", 0, (1, NO_TEST)),
        ("dev: every check passed", 0, (1, NO_TEST)),
    ],
)
def test_continuous_integration_ends_with_the_test_totals(root, tmp_path, printed, status, ended):
    (tmp_path / ".ci").mkdir()
    shutil.copy(root / ".ci" / "run", tmp_path / ".ci")
    program(tmp_path / "dev", f"echo '{printed}'; exit {status}")
    done = subprocess.run(["/bin/bash", tmp_path / ".ci" / "run"], capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    assert (done.returncode, (done.stdout + done.stderr).splitlines()[-1]) == ended


def in_dev(folder, script, **environment):
    """Run shell lines with the functions of `./dev`, in a copy of it."""
    command = ["/bin/sh", "-c", f'. "$0" >/dev/null; set +e; {script}', folder / "dev", "help"]
    environment = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - the project's own script


@pytest.fixture
def printed(root, tmp_path):
    """The folder of the kept outputs, in a checkout without tests."""
    shutil.copy(root / "dev", tmp_path)
    output = tmp_path / ".cache" / "printed"
    output.mkdir(parents=True)
    return output


def test_totals_count_every_run_and_errors_as_failures(tmp_path, printed):
    (printed / "tests").write_text("====== 2 failed, 8600 passed, 1 error in 61.20s (0:01:01) ======\n")
    (printed / "tests_paced").write_text("noise\n====== 30 passed, 8600 deselected in 2.00s ======\n")
    assert in_dev(tmp_path, "closing_line").stdout == "8630 passed, 3 failed\n"


THREE_TESTS = """\
import pathlib

def test_steady():
    pass

def test_disturbed():
    before = pathlib.Path("disturbed").exists()
    pathlib.Path("disturbed").touch()
    assert before

def test_broken():
    assert not pathlib.Path("broken").exists()
"""


@pytest.mark.parametrize(
    ("code_is", "code", "closing", "named"),
    [("works", 0, "3 passed, 0 failed", ["test_three.py::test_disturbed"]), ("broken", 1, "1 passed, 2 failed", [])],
)
@pytest.mark.usefixtures("printed")
def test_a_test_that_passes_only_alone_is_named(tmp_path, code_is, code, closing, named):
    (tmp_path / "test_three.py").write_text(THREE_TESTS)
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--run')\n")
    (tmp_path / code_is).touch()
    script = f"bin={Path(sys.executable).parent}; name=tests; one_run any 2 0 test_three.py; echo $?; closing_line"
    done = in_dev(tmp_path, script, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="-p xdist.plugin -p pytest_cov.plugin")
    *_, ended, totals = done.stdout.splitlines()
    assert (ended, totals) == (str(code), closing)
    assert re.findall(r"passed only alone, fix them: (\S+)", done.stderr) == named


PYTHON = """\
#!/bin/sh
while [ "$1" != --run ]; do shift; done
echo "runs $2"
[ "$2" != %s ]
"""


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.usefixtures("printed")
def test_each_run_of_the_test_sharing_is_run_and_can_fail(tmp_path, run):
    (tmp_path / "python").write_text(PYTHON % run)
    (tmp_path / "python").chmod(0o755)
    done = in_dev(tmp_path, f"set -e; bin={tmp_path}; pure_modules() {{ :; }}; in_runs; verdict")
    assert sorted(re.findall(r"^runs (\w+)$", done.stdout, re.MULTILINE)) == sorted(RUNS)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"dev: failed: tests_{run}")
    assert "No such file" not in done.stderr, "the exit code of a failed run was lost"


@pytest.mark.usefixtures("printed")
def test_a_run_in_the_background_that_left_no_result_fails(tmp_path):
    stubs = "bin=true; pure_modules() { :; }; one_run() { :; }; started() { :; }"
    done = in_dev(tmp_path, f"{stubs}; in_runs; verdict")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "dev: failed: tests_paced")


def test_every_row_of_the_test_sharing_is_of_a_known_run():
    assert {row.run for row in ROWS} <= set(RUNS)


def test_every_row_of_the_test_sharing_names_an_existing_path(root):
    assert [row.path for row in ROWS if not (root / row.path).exists()] == []


def test_a_test_of_the_pure_run_imports_each_pure_module(root):
    """A module that this run never imports would count as covered."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    modules = next(each["source_modules"] for each in contracts if each["name"] == "Rules are pure")
    tests = {path: path.relative_to(root).as_posix() for path in (root / "tests" / "unit").rglob("test_*.py")}
    texts = "\n".join(path.read_text() for path, name in tests.items() if row_of(name).run == PURE)
    imports = {
        module: (rf"from {module}\b", r"from {}\.?\S* import .*\b{}\b".format(*module.rsplit(".", 1))) for module in modules
    }
    assert [module for module, forms in imports.items() if not any(re.search(form, texts) for form in forms)] == []
