"""Build every file of a release into a new folder; those for Windows: `windows/make_zip.py`, `make_msi.py`.

`python deploy/release.py FOLDER TOOLS MKDOCS` makes the wheel, the source distribution, the bills of materials, an OpenVEX document, the
texts of the licences, the chart, the searchable documentation, copies of files, and their checksums. It needs the locked packages, and in
TOOLS and MKDOCS those of `./dev tools`. The same source gives the same bytes: place, file times, umask, time zone, language and clock have no effect.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import licences
import vex

ROOT = Path(__file__).parents[1]
SUMS = "SHA256SUMS"
# 2020-02-02, the date that hatchling writes by itself: no variable of the caller changes it.
FIXED = {
    "SOURCE_DATE_EPOCH": "1580601600",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def run(*command: str | Path) -> None:
    """Run a program of the locked lists with a fixed environment. Raises CalledProcessError."""
    environment = {**os.environ, **FIXED}
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=sys.stderr)  # noqa: S603 - no outside input commands


def version() -> str:
    text = (ROOT / "exporter" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)[0]


def bill(name: str, lock: str, tools: Path) -> dict[str, Any]:
    """Return the bill of materials of a locked list in CycloneDX, with the licences of the packages."""
    with tempfile.TemporaryDirectory() as place:
        # It cannot read the form of the licence in pyproject.toml, or a version from another file.
        about = Path(place) / "component.toml"
        about.write_text(
            f'[project]\nname = "{name}"\nversion = "{version()}"\nlicense = {{text = "Apache-2.0"}}\n', encoding="utf-8"
        )
        made = Path(place) / "bill.json"
        how = ["--output-reproducible", "--mc-type", "application", "--schema-version", "1.6", "--outfile", made]
        run(tools / "bin" / "cyclonedx-py", "requirements", "--pyproject", about, *how, lock)
        content: dict[str, Any] = json.loads(made.read_text(encoding="utf-8"))
    known = {one.name: one.expression for one in licences.collect((ROOT / lock).read_text(encoding="utf-8"))}
    for component in content["components"]:
        component["licenses"] = [{"expression": known[component["name"]]}]
    return content


def programs() -> list[dict[str, Any]]:
    """Return the programs of the Windows zip, and so of the MSI, for their bill."""
    pins = json.loads((ROOT / "deploy" / "windows" / "pins.json").read_text(encoding="utf-8"))
    found = []
    for name, pin in pins.items():
        place = {"type": "distribution", "url": pin["url"], "hashes": [{"alg": "SHA-256", "content": pin["sha256"]}]}
        about = {"type": "application", "bom-ref": name, "name": name, "version": pin["version"]}
        found.append({**about, "licenses": [{"expression": pin["licence"]}], "externalReferences": [place]})
    return found


def write_bills(out: Path, tools: Path) -> None:
    """Write the bill of the packages that every installation has, and that of the Windows zip."""
    always, windows = bill("ekm-exporter", "requirements.lock", tools), bill("ekm-exporter", "requirements-windows.lock", tools)
    windows["components"] += programs()
    for name, content in (("", always), ("-windows-amd64", windows)):
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        (out / f"ekm-exporter-{version()}{name}.cdx.json").write_text(text, encoding="utf-8", newline="\n")


def write_sums(out: Path) -> None:
    """Write the checksums of all other files of the folder, in the format of `sha256sum`."""
    files = sorted(path for path in out.iterdir() if path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")


def build(out: Path, tools: Path, mkdocs: Path) -> None:
    """Write the files into the folder `out`, which must be new: files of an earlier build would be signed along."""
    out.mkdir(parents=True)
    found = licences.collect((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    # --no-isolation: the builder is the locked one.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    write_bills(out, tools)
    answers = vex.document(version(), (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    (out / f"ekm-exporter-{version()}.openvex.json").write_text(answers, encoding="utf-8", newline="\n")
    (out / "THIRD-PARTY-LICENCES.txt").write_text(licences.joined(found), encoding="utf-8", newline="\n")
    run(tools / "bin" / "python", ROOT / "deploy" / "assets.py", out)
    run(sys.executable, "-m", "docs.generators.site", mkdocs, out / f"ekm-exporter-{version()}-docs.zip")
    write_sums(out)


if __name__ == "__main__":
    os.umask(0o022)
    build(*(Path(argument).resolve() for argument in sys.argv[1:4]))
