"""List the locked packages with their licences, or join the texts of these licences.

`python deploy/licences.py table` prints docs/maintainers/licences.md.
`python deploy/licences.py texts` prints a file that is shipped with the packages.
Both read the metadata of installed packages and stop at a package whose licence is not in `ACCEPTED`.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Compatible with Apache-2.0. MPL-2.0 (certifi) has no condition for users who do not change its files.
ACCEPTED = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
SPDX = {  # older forms, as packages declare them
    "Apache 2.0": "Apache-2.0",
    "MIT License": "MIT",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
}
# Libraries of other projects inside the compiled modules of a wheel.
INSIDE = {
    "aiohttp": "llhttp (MIT)",
    "cffi": "libffi (MIT)",
    "cryptography": "OpenSSL (Apache-2.0)",
    "pyyaml": "LibYAML (MIT)",
}
# Licence texts that a wheel lacks, from the repository of its project.
ADDED = {"evtx": ROOT / "deploy" / "windows" / "evtx-LICENSE.txt"}
TEXT = re.compile(r"\.dist-info/(?:.*/)?(?:licen[cs]e|copying|notice)[^/]*$", re.IGNORECASE)
PAGE = """# Licences of the dependencies

The exporter has the licence [Apache-2.0](../../LICENSE). These are its packages, with the licences that they declare. Packages of an [extra](../install.md#extras)
are in zip and MSI for Windows, and elsewhere if you install the extra. `THIRD-PARTY-LICENCES.txt` has the complete texts: it is a file of each release, of
zip and MSI (`app\\licences`) and of the image (`/opt/ekm-exporter/licences`). Zip and MSI also have Python (PSF-2.0) with its text.

This page is generated. A package whose licence is not compatible with Apache-2.0 fails the tests.

| package | version | licence | compiled in | installed |
| --- | --- | --- | --- | --- |
"""


class LicenceError(Exception):
    """A package without an accepted licence, or without its text."""


@dataclass(frozen=True)
class Licence:
    """One package. `texts` has each licence and notice with its file name."""

    name: str
    version: str
    expression: str
    texts: tuple[tuple[str, str], ...]


def declared(package: Distribution) -> str:
    """Return the licence as one SPDX expression: from the expression, else the short text, else the classifiers."""
    about = package.metadata
    expression = about.get("License-Expression") or about.get("License") or ""
    if not expression or "\n" in expression or len(expression) > 60:
        found = [one for one in about.get_all("Classifier") or [] if one.startswith("License ::")]
        expression = " AND ".join(SPDX.get(one, one) for one in found)
    return SPDX.get(expression, expression)


def texts(package: Distribution) -> Iterator[tuple[str, str]]:
    """Return name and text of each licence file of the package's metadata."""
    for file in sorted(package.files or (), key=str):
        if TEXT.search(file.as_posix()):
            yield file.name, Path(str(package.locate_file(file))).read_text(encoding="utf-8")


def licence(package: Distribution) -> Licence:
    """Raise LicenceError if the package has no accepted licence or no text."""
    name, expression = package.metadata["Name"].lower().replace("_", "-"), declared(package)
    unknown = set(re.split(r" (?:AND|OR) ", expression.strip("()"))) - ACCEPTED
    if unknown:
        raise LicenceError(f"{name}: no accepted licence: {', '.join(sorted(unknown)) or 'none'}")
    added = [(ADDED[name].name, ADDED[name].read_text(encoding="utf-8"))] if name in ADDED else []
    if not (found := (*texts(package), *added)):
        raise LicenceError(f"{name}: no licence text")
    return Licence(name, package.version, expression, found)


def locked(lines: str) -> dict[str, str]:
    """Return name and version of each package of a locked list."""
    return dict(re.findall(r"^([\w.-]+)==(\S+)", lines, re.MULTILINE))


def collect(lines: str, place: Path | None = None) -> list[Licence]:
    """Return the licences of a locked list: of the packages in the folder `place`, else of this environment."""
    found = []
    for name, version in locked(lines).items():
        package = next(iter(Distribution.discover(name=name, path=[str(place)])), None) if place else Distribution.from_name(name)
        if package is None or package.version != version:
            raise LicenceError(f"{name}: version {version} of the locked list is not here")
        found.append(licence(package))
    return found


def table(found: list[Licence], everywhere: dict[str, str]) -> str:
    rows = [
        f"| {one.name} | {one.version} | {one.expression} | {INSIDE.get(one.name, '')} | {'always' if one.name in everywhere else 'extra'} |\n"
        for one in found
    ]
    return PAGE + "".join(rows)


def joined(found: list[Licence]) -> str:
    """Return all texts, each package with a heading."""
    parts = []
    for one in found:
        parts.append(f"{'=' * 80}\n{one.name} {one.version}: {one.expression}\n{'=' * 80}\n")
        parts += [f"\n--- {name}\n\n{text.strip()}\n\n" for name, text in one.texts]
    return "".join(parts).replace("\r\n", "\n")


if __name__ == "__main__":
    always = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    if sys.argv[1] == "texts":
        shown = joined(collect(always))
    else:
        shown = table(collect((ROOT / "requirements-windows.lock").read_text(encoding="utf-8")), locked(always))
    sys.stdout.buffer.write(shown.encode())
