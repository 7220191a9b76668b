"""Wheel and source distribution are complete, and run without a network."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest

from exporter import __version__

ROOT = Path(__file__).parents[3]
WHEEL = f"ekm_exporter-{__version__}-py3-none-any.whl"
SOURCE = f"ekm_exporter-{__version__}.tar.gz"
DOCUMENTS = "exporter/web/static/docs.zip"
STARTS = 60.0  # seconds


def build(tree: Path, out: Path, mask: int, *flags: str) -> dict[str, bytes]:
    # The builder of this environment, without downloads.
    command = [sys.executable, "-m", "build", "--no-isolation", *flags, "--outdir", out, tree]
    subprocess.run(command, check=True, capture_output=True, umask=mask)  # noqa: S603 - no outside input commands
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - no outside input commands
    return [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def built(tmp_path_factory, tracked) -> dict[str, bytes]:
    """Return a build of a copy of the tracked files. test_build.py compares the bytes of two builds."""
    tree = tmp_path_factory.mktemp("checkout") / "a place"
    for name in [*tracked, ".gitignore"]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name, follow_symlinks=False)
    return build(tree, tree.parent / "out", 0o077)


@pytest.fixture(scope="module")
def wheel(built, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / WHEEL
    path.write_bytes(built[WHEEL])
    return path


def test_wheel_holds_the_package_only(wheel, tracked):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {name for name in tracked if name.startswith("exporter/")} | {DOCUMENTS}
    scripts = {"exporter/sqlserver/scripts/prove.sql", "exporter/sqlserver/scripts/inventory.ps1"}
    assert {"exporter/py.typed", "exporter/web/static/style.css", *scripts} <= names


def test_documentation_adds_less_than_a_megabyte_to_the_wheel(wheel):
    info = zipfile.ZipFile(wheel).getinfo(DOCUMENTS)
    assert 100_000 < info.compress_size <= info.file_size < 1_000_000


def test_source_distribution_builds_and_tests(built, tmp_path):
    (tmp_path / SOURCE).write_bytes(built[SOURCE])
    with tarfile.open(tmp_path / SOURCE) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        archive.extractall(tmp_path, filter="data")
    chart = "deploy/helm/ekm-exporter/Chart.yaml"
    assert {"dev", "requirements.lock", "tests/conftest.py", chart, "alerts/ekm.rules.yml"} <= names
    again = build(tmp_path / SOURCE.removesuffix(".tar.gz"), tmp_path / "again", 0o022, "--wheel")
    assert again[WHEEL] == built[WHEEL]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Return a new environment with the wheel; its dependencies are those of this environment."""
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python"]
    command = [*pip, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - no outside input commands
    packages = next((place / "lib").glob("python*")) / "site-packages"
    # The path excludes the links of an editable install to the checkout.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def test_wheel_command_prints_the_one_version(installed, tmp_path):
    command = [installed / "ekm-exporter", "--version"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout  # noqa: S603 - no outside input commands
    assert __version__ in output
    where = [installed / "python", "-c", "import exporter; print(exporter.__file__)"]
    file = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.strip()  # noqa: S603 - no outside input commands
    assert Path(file).is_relative_to(installed.parent)


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("docs", "docs/runbooks/EkmEgressDown.md"), "alerts/runbooks/EkmEgressDown.md"),
        (("docs", "alerts/ekm.rules.yml"), "alerts/ekm.rules.yml"),
        (("script", "prove.sql"), "exporter/sqlserver/scripts/prove.sql"),
        (("script", "install-hosts.ps1"), "deploy/windows/install-hosts.ps1"),
    ],
)
def test_installed_command_prints_documents_and_scripts(installed, tmp_path, command, file):
    done = subprocess.run([installed / "ekm-exporter", *command], capture_output=True, check=True, cwd=tmp_path)  # noqa: S603 - no outside input commands
    assert done.stdout == (ROOT / file).read_bytes()


def answer(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310 - loopback
        text: str = response.read().decode()
    return text


def eventually(url: str, what: str) -> str:
    """Return the first response that contains `what`; the exporter listens before the first probe ends."""
    end = time.monotonic() + STARTS
    while what not in (text := answer(url)):
        assert time.monotonic() < end, text
        time.sleep(0.1)
    return text


def listening(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + STARTS
    while (output := re.search(r"msg=listening url=(http://\S+)", log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    return output[1]


def test_installed_exporter_serves_metrics_and_pages(installed, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as lines:
        command = [installed / "ekm-exporter", "demo", "--web.listen-address", "127.0.0.1:0"]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=lines, stderr=lines)  # noqa: S603 - no outside input commands
        try:
            url = listening(process, log)
            eventually(f"{url}/metrics", "# TYPE ekm_probe_success gauge")
            sheet = re.search(r'href="([^"]+\.css[^"]*)"', answer(f"{url}/"))
            assert "{" in answer(f"{url}{sheet[1]}")
            assert '<h1 id="ekmegressdown">' in answer(f"{url}/docs/runbooks/EkmEgressDown")
        finally:
            process.terminate()
            assert process.wait(timeout=60) == 0, log.read_text()
