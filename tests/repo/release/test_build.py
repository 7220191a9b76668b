"""`deploy/release.py`: a release is complete, has the same bytes each time, and its bill of materials matches the locked list."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from exporter import __version__

ROOT = Path(__file__).parents[3]
TOOLS, MKDOCS = ROOT / ".cache" / "tools", ROOT / ".cache" / "site"
BILL = f"ekm-exporter-{__version__}.cdx.json"
WINDOWS_BILL = f"ekm-exporter-{__version__}-windows-amd64.cdx.json"
VEX = f"ekm-exporter-{__version__}.openvex.json"
DOCS = f"ekm-exporter-{__version__}-docs.zip"
CHART = f"ekm-exporter-{__version__}.tgz"
FILES = {
    f"ekm_exporter-{__version__}-py3-none-any.whl", f"ekm_exporter-{__version__}.tar.gz", CHART, BILL, WINDOWS_BILL, VEX, "SHA256SUMS",
    "THIRD-PARTY-LICENCES.txt", "requirements.lock", "ekm-exporter.service", "ekm-exporter@.service", "ekm-exporter.target",
    "ekm.rules.yml", "ekm-sql.rules.yml", "ekm-native.rules.yml", "ekm.schema.json", f"ekm-starter-{__version__}.tar.gz", DOCS,
}  # fmt: skip
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""
pytestmark = pytest.mark.tools


def checkout(place: Path, born: int, mask: int) -> Path:
    """Return a copy of the tracked files with other file times and permissions, as a clone has them."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - no outside input commands
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place / name, follow_symlinks=False)
    for path in [place, *place.rglob("*")]:
        os.utime(path, (born, born), follow_symlinks=False)
        if path.is_file() and not path.is_symlink():
            path.chmod((0o777 if path.stat().st_mode & 0o100 else 0o666) & ~mask)
    return place


def build(tree: Path, mask: int, **environment: str) -> dict[str, bytes]:
    command = [sys.executable, tree / "deploy" / "release.py", tree / "dist", TOOLS, MKDOCS]
    around = {**os.environ, **environment}
    subprocess.run(command, check=True, capture_output=True, umask=mask, env=around, cwd=tree.parent)  # noqa: S603 - no outside input commands
    return {path.name: path.read_bytes() for path in (tree / "dist").iterdir()}


@pytest.fixture(scope="module")
def builds(tmp_path_factory) -> list[dict[str, bytes]]:
    here = checkout(tmp_path_factory.mktemp("clone") / "here", 1_700_000_000, 0o022)
    there = checkout(tmp_path_factory.mktemp("clone") / "another place", 1_750_000_000, 0o077)
    return [
        build(here, 0o022, TZ="UTC", LC_ALL="C", LANG="C", PYTHONHASHSEED="1"),
        build(there, 0o077, TZ="Asia/Kolkata", LC_ALL="C.UTF-8", LANG="de_CH.UTF-8", SOURCE_DATE_EPOCH="1", PYTHONHASHSEED="2"),
    ]


def test_every_file_of_a_release_has_the_same_bytes_in_two_builds(builds):
    first, second = builds
    assert set(first) == set(second) == FILES
    assert {name for name in FILES if first[name] != second[name]} == set()


def test_checksums_cover_every_other_file(builds):
    lines = [line.split("  ") for line in builds[0]["SHA256SUMS"].decode().splitlines()]
    assert {name: digest for digest, name in lines} == {
        name: hashlib.sha256(content).hexdigest() for name, content in builds[0].items() if name != "SHA256SUMS"
    }
    assert lines == sorted(lines, key=lambda line: line[1])


def test_checksum_command_of_the_install_page_accepts_the_build(builds, tmp_path):
    (command,) = re.findall(r"^sha256sum .*$", (ROOT / "docs" / "install.md").read_text(), re.MULTILINE)
    for name, content in builds[0].items():
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - no outside input commands
    assert (done.returncode, done.stdout.count(": OK\n")) == (0, len(FILES) - 1)
    (tmp_path / CHART).write_bytes(b"changed")
    done = subprocess.run(command.split(), cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - no outside input commands
    assert done.returncode == 1
    assert f"{CHART}: FAILED" in done.stdout


@pytest.mark.parametrize(
    ("name", "lock", "programs"), [(BILL, "requirements.lock", 0), (WINDOWS_BILL, "requirements-windows.lock", 1)]
)
def test_bill_of_materials_lists_locked_packages_with_hashes_and_licences(builds, name, lock, programs):
    bill = json.loads(builds[0][name])
    text = (ROOT / lock).read_text()
    packages = bill["components"][: len(bill["components"]) - programs]
    assert {f"{one['name']}=={one['version']}" for one in packages} == set(re.findall(r"^([\w.-]+==\S+)", text, re.MULTILINE))
    listed = {digest["content"] for one in packages for digest in one["externalReferences"][0]["hashes"]}
    assert listed == set(re.findall(r"--hash=sha256:(\w+)", text))
    assert all(one["licenses"][0]["expression"] for one in bill["components"])
    assert bill["metadata"]["component"]["version"] == __version__


def test_bill_of_the_windows_zip_has_python(builds):
    pins = json.loads((ROOT / "deploy" / "windows" / "pins.json").read_text())
    added = json.loads(builds[0][WINDOWS_BILL])["components"][-1:]
    assert [(one["name"], one["version"]) for one in added] == [(name, pin["version"]) for name, pin in pins.items()]
    assert [one["externalReferences"][0]["hashes"][0]["content"] for one in added] == [pin["sha256"] for pin in pins.values()]


@pytest.mark.parametrize("name", [BILL, WINDOWS_BILL])
def test_bill_of_materials_is_valid_cyclonedx(builds, name):
    command = [TOOLS / "bin" / "python", "-c", VALIDATE]
    done = subprocess.run(command, input=builds[0][name], capture_output=True, check=False)  # noqa: S603 - no outside input commands
    assert (done.returncode, done.stdout.strip()) == (0, b"None"), done.stderr.decode()


def test_chart_is_packed_with_its_links_resolved(builds):
    with tarfile.open(fileobj=io.BytesIO(builds[0][CHART])) as archive:
        packed = {name: archive.getmember(name) for name in archive.getnames()}
    names = {"values.schema.json", "files/ekm-fleet.json", "templates/workload.yaml"}
    assert {f"ekm-exporter/{name}" for name in names} <= set(packed)
    assert all(one.isfile() and one.size for one in packed.values())


def test_licence_texts_have_each_locked_package(builds):
    text = builds[0]["THIRD-PARTY-LICENCES.txt"].decode()
    for name in re.findall(r"^([\w.-]+==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE):
        assert f"\n{name.replace('==', ' ')}: " in text
    assert b"\r" not in builds[0]["THIRD-PARTY-LICENCES.txt"]
