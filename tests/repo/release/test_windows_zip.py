"""`deploy/windows/make_zip.py` with stand-ins for Python and the wheels: complete, pinned, and the same bytes each time."""

import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deploy.windows import make_zip
from exporter import __version__
from tests.support.values import replace

ROOT = Path(__file__).parents[3]
TOP = f"ekm-exporter-{__version__}-windows-amd64"
LONGEST_PATH = 140  # characters: Windows allows 260 with the folder


def zipped(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return stream.getvalue()


def wheel(name: str, version: str, files: dict[str, str], licence: str = "MIT") -> tuple[str, bytes]:
    """Return file name and content of a wheel."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}\n"
    whole = {**files, f"{info}/METADATA": metadata, f"{info}/LICENSE": f"Terms of {name}\n"}
    record = io.StringIO()
    csv.writer(record, lineterminator="\n").writerows([one, "", ""] for one in whole)
    return f"{name}-{version}-py3-none-any.whl", zipped({**whole, f"{info}/RECORD": record.getvalue()})


EMBEDDED = {
    "python.exe": "python",
    "python313.dll": "dll",
    "python313.zip": "library",
    "python313._pth": "old",
    "LICENSE.txt": "PSF",
}
WHEELS = [
    wheel("first_package", "1.0", {"first/__init__.py": "", "first_package-1.0.data/platlib/first/native.pyd": "x"}),
    wheel("second", "2.1", {"second.py": "", "second-2.1.data/scripts/tool": "#!", "second-2.1.data/headers/x.h": "x"}),
]


@pytest.fixture
def parts(tmp_path):
    """Return the arguments of a build: dist, downloads, pins, locked list."""
    dist, downloads = tmp_path / "dist", tmp_path / "downloads"
    (downloads / "wheels").mkdir(parents=True)
    dist.mkdir()
    name, content = wheel(
        "ekm_exporter", __version__, {"exporter/__init__.py": "", "exporter/web/static/style.css": "x"}, "Apache-2.0"
    )
    (dist / name).write_bytes(content)
    lines = []
    for name, content in WHEELS:
        (downloads / "wheels" / name).write_bytes(content)
        package, version, _ = name.split("-", 2)
        lines.append(f"{package.replace('_', '-')}=={version} \\\n    --hash=sha256:{hashlib.sha256(content).hexdigest()}\n")
    (tmp_path / "requirements.lock").write_text("".join(lines))
    pins = make_zip.read_pins()
    python = zipped(EMBEDDED)
    (downloads / pins["python"].file).write_bytes(python)
    pins["python"] = replace(pins["python"], sha256=hashlib.sha256(python).hexdigest())
    return dist, downloads, pins, tmp_path / "requirements.lock"


def read(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as packed:
        assert {name.split("/")[0] for name in packed.namelist()} == {TOP}
        return {name.removeprefix(f"{TOP}/"): packed.read(name) for name in packed.namelist()}


@pytest.fixture
def files(parts):
    return read(make_zip.build(*parts))


def test_zip_has_program_interpreter_packages_and_licences(files):
    outside = {"install-hosts.ps1", "ekm.example.yml"}
    program = {"VERSION", "files.sha256", "ekm-exporter.cmd"}
    python = {f"python/{name}" for name in EMBEDDED}
    legal = {f"licences/{name}.txt" for name in ("Python-LICENSE", "LICENSE", "THIRD-PARTY-LICENCES")}
    packages = {
        "lib/exporter/__init__.py",
        "lib/exporter/web/static/style.css",
        "lib/first/__init__.py",
        "lib/first/native.pyd",
        "lib/second.py",
    }
    inside = {name.removeprefix("app/") for name in files if name.startswith("app/")}
    assert {name for name in files if not name.startswith("app/")} == outside
    assert {name for name in inside if ".dist-info/" not in name} == program | python | legal | packages
    assert files["app/VERSION"].decode() == __version__


def test_list_of_hashes_covers_the_program(files):
    listed = dict(reversed(line.split("  ", 1)) for line in files["app/files.sha256"].decode().splitlines())
    program = {name.removeprefix("app/"): content for name, content in files.items() if name.startswith("app/")}
    del program["files.sha256"]
    assert listed == {name: hashlib.sha256(content).hexdigest() for name, content in program.items()}


def test_text_files_of_the_project_have_lines_of_windows(files):
    own = ["install-hosts.ps1", "ekm.example.yml", "app/ekm-exporter.cmd"]
    assert [name for name in own if files[name].count(b"\n") != files[name].count(b"\r\n") or not files[name]] == []
    # Windows PowerShell reads a script without a byte order mark in the code page of the system.
    assert [name for name in files if name.endswith(".ps1") and not files[name].isascii()] == []


def test_two_zips_have_the_same_bytes(parts, monkeypatch):
    first = make_zip.build(*parts).read_bytes()
    for path in parts[1].rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    monkeypatch.setattr(sys, "platform", "win32")  # zipfile writes the system into each entry
    assert make_zip.build(*parts).read_bytes() == first


def test_download_that_is_not_the_pinned_file_is_refused(parts):
    (parts[1] / parts[2]["python"].file).write_bytes(b"another")
    with pytest.raises(make_zip.BuildError, match="not the pinned file"):
        make_zip.build(*parts)
    assert list(parts[0].glob("*.zip")) == []


@pytest.mark.parametrize(
    ("url", "problem"), [("https://127.0.0.1:9/x.zip", "download it elsewhere"), ("http://127.0.0.1:9/x.zip", "not an https")]
)
def test_download_that_fails_names_the_address(tmp_path, url, problem):
    pin = replace(make_zip.read_pins()["python"], url=url)
    with pytest.raises(make_zip.BuildError, match=problem):
        make_zip.fetch(pin, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_wheel_that_is_not_locked_is_refused(parts):
    name, content = wheel("second", "2.1", {"second.py": "other"})
    (parts[1] / "wheels" / name).write_bytes(content)
    with pytest.raises(make_zip.BuildError, match=r"second-2\.1-py3-none-any\.whl: not a file of requirements\.lock"):
        make_zip.build(*parts)


def test_missing_wheel_is_refused(parts):
    (parts[1] / "wheels" / WHEELS[0][0]).unlink()
    with pytest.raises(make_zip.BuildError, match="no wheel for first-package"):
        make_zip.build(*parts)


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.py", "C:evil.py", "a\\evil.py"])
def test_wheel_with_a_file_outside_is_refused(tmp_path, name):
    path = tmp_path / "bad-1.0-py3-none-any.whl"
    path.write_bytes(zipped({name: "x"}))
    with pytest.raises(make_zip.BuildError, match="outside the package"):
        make_zip.unpacked(path)


def test_paths_of_the_packages_fit_into_the_limit_of_windows():
    command = ["git", "ls-files", "-z", "exporter"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - no outside input commands
    names = [f"{TOP}/app/lib/{name}" for name in listed.stdout.decode().split("\0")]
    assert max(map(len, names)) < LONGEST_PATH
