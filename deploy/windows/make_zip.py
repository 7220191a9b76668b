"""Build the Windows zip: exporter, locked packages and Python, for hosts without Python and internet.

`python deploy/windows/make_zip.py DIST DOWNLOADS` takes the wheel from DIST, adds the zip, and renews the checksums. Missing parts are
downloaded into DOWNLOADS: Python by `pins.json`, wheels by `requirements-windows.lock`, which has the extras too: the zip has no
pip. Each part must have the pinned hash. The same parts give the same bytes on every system.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
import licences  # noqa: E402 - the scripts of deploy/ are in no package
import release  # noqa: E402

SCRIPTS = ("install-hosts.ps1", "ekm.example.yml")  # next to the folder app, which has everything else
PROGRAM = ("ekm-exporter.cmd",)
WINDOWS_LINES = {".cmd", ".ps1", ".yml", ".txt"}  # Notepad of older systems and cmd.exe need CR LF
# Python reads no environment variable and no registry, and imports from these places alone.
PATHS = "python{short}.zip\r\n.\r\n..\\lib\r\n"
TARGET = ["--platform", "win_amd64", "--python-version", "3.13", "--implementation", "cp", "--only-binary", ":all:"]


class BuildError(Exception):
    """A part is missing, is not the pinned one, or is not a file of a package."""


@dataclass(frozen=True)
class Pin:
    """A program of another project: where it is, and what its file must be."""

    version: str
    url: str
    sha256: str
    licence: str

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]


def read_pins(path: Path = HERE / "pins.json") -> dict[str, Pin]:
    return {name: Pin(**values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}


def fetch(pin: Pin, downloads: Path) -> bytes:
    """Return the pinned file, downloaded if it is missing. Raises BuildError if it is another one."""
    place = downloads / pin.file
    if not place.exists():
        if not pin.url.startswith("https://"):
            raise BuildError(f"{pin.url}: not an https address")
        try:
            with urllib.request.urlopen(pin.url, timeout=300) as answer:  # noqa: S310 - https, and the hash is checked
                place.write_bytes(answer.read())
        except OSError as error:
            raise BuildError(f"{pin.url}: {error}: download it elsewhere and put it into {downloads}") from None
    content = place.read_bytes()
    if hashlib.sha256(content).hexdigest() != pin.sha256:
        raise BuildError(f"{place}: not the pinned file: delete it, or correct pins.json")
    return content


def fetch_wheels(lock: Path, place: Path) -> list[Path]:
    """Return one wheel for each package of the locked list, downloaded if the folder is missing. Raises BuildError."""
    if not place.exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ]
        subprocess.run([*command, *TARGET, "--requirement", lock, "--dest", place], check=True)  # noqa: S603 - no outside input commands
    text = lock.read_text(encoding="utf-8")
    found = {}
    for wheel in sorted(place.glob("*.whl")):
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in text:
            raise BuildError(f"{wheel.name}: not a file of {lock.name}")
        found[wheel.name.split("-")[0].lower().replace("_", "-")] = wheel
    if missing := set(licences.locked(text)) - set(found):
        raise BuildError(f"no wheel for {', '.join(sorted(missing))}: delete {place}")
    return list(found.values())


def unpacked(archive: Path) -> dict[str, bytes]:
    """Return the files of a wheel as an installation places them; without scripts, headers and data. Raises BuildError."""
    files = {}
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or re.search(r"[\\:]", name):
                raise BuildError(f"{archive.name}: {name!r} is outside the package")
            inside = re.sub(r"^[^/]+\.data/(?:purelib|platlib)/", "", name)
            if not name.endswith("/") and not re.match(r"[^/]+\.data/", inside):
                files[inside] = packed.read(name)
    return files


def python_files(archive: bytes, version: str, place: Path) -> dict[str, bytes]:
    """Return the files of Python's embeddable package, which then imports from the folder `lib`."""
    path = place / "python.zip"
    path.write_bytes(archive)
    files = unpacked(path)
    short = "".join(version.split(".")[:2])
    if {"python.exe", "LICENSE.txt", f"python{short}._pth"} - set(files):
        raise BuildError("not the embeddable package of Python")
    return {**files, f"python{short}._pth": PATHS.format(short=short).encode()}


def own_file(path: Path) -> bytes:
    text = path.read_bytes().replace(b"\r\n", b"\n")
    return text.replace(b"\n", b"\r\n") if path.suffix in WINDOWS_LINES else text


def texts(packages: dict[str, bytes], lock: str, place: Path) -> bytes:
    """Return the licence texts of the packages, from the very files that are shipped."""
    for name, content in packages.items():
        if ".dist-info/" in name:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    return licences.joined(licences.collect(lock, place)).encode()


def contents(wheel: Path, downloads: Path, pins: dict[str, Pin], lock: Path) -> dict[str, bytes]:
    """Return every file of the zip by its name."""
    packages: dict[str, bytes] = {}
    for one in [wheel, *fetch_wheels(lock, downloads / "wheels")]:
        packages |= unpacked(one)
    with tempfile.TemporaryDirectory() as place:
        python = python_files(fetch(pins["python"], downloads), pins["python"].version, Path(place))
        legal = {
            "LICENSE.txt": own_file(ROOT / "LICENSE"),
            "Python-LICENSE.txt": python["LICENSE.txt"],
            "THIRD-PARTY-LICENCES.txt": texts(packages, lock.read_text(encoding="utf-8"), Path(place)),
        }
    program = {name: own_file(HERE / name) for name in PROGRAM}
    program["VERSION"] = wheel.name.split("-")[1].encode()
    program |= {f"python/{name}": content for name, content in python.items()}
    program |= {f"lib/{name}": content for name, content in packages.items()}
    program |= {f"licences/{name}": content for name, content in legal.items()}
    sums = "".join(f"{hashlib.sha256(program[name]).hexdigest()}  {name}\n" for name in sorted(program))
    program["files.sha256"] = sums.encode()
    return {**{f"app/{name}": content for name, content in program.items()}, **{name: own_file(HERE / name) for name in SCRIPTS}}


def pack(files: dict[str, bytes], out: Path) -> None:
    """Write a zip without traces of time, place and system; everything is in one folder with the zip's name."""
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{out.stem}/{name}", (2020, 2, 2, 0, 0, 0))
            entry.create_system, entry.external_attr, entry.compress_type = 3, 0o644 << 16, zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], compresslevel=9)


def build(dist: Path, downloads: Path, pins: dict[str, Pin], lock: Path) -> Path:
    """Add the zip to the folder of a release. Raises BuildError."""
    downloads.mkdir(parents=True, exist_ok=True)
    (wheel,) = dist.glob("ekm_exporter-*.whl")
    version = wheel.name.split("-")[1]
    out = dist / f"ekm-exporter-{version}-windows-amd64.zip"
    pack(contents(wheel, downloads, pins, lock), out)
    release.write_sums(dist)
    return out


if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]), Path(sys.argv[2]), read_pins(), ROOT / "requirements-windows.lock")
    except (BuildError, licences.LicenceError) as error:
        sys.exit(f"make_zip.py: {error}")
