"""docs/maintainers/proven.md lists the programs of other projects with their versions, and tests that use them."""

import json
import platform
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from docs.generators.proven import ROOT, RUN, VALIDATED, Origin, locked
from tests.support.patience import PROGRAM_SECONDS

PROGRAMS = (*RUN, *VALIDATED)
PAGE = ROOT / "docs" / "maintainers" / "proven.md"
PARTS = {"buildah": "container", "wine": "windows"}
# Debian's programs, each with the part of the tests that installs it.
DEBIAN = [
    pytest.param(one, marks=getattr(pytest.mark, PARTS.get(one.package, "real")), id=one.title) for one in PROGRAMS if one.debian
]
# Packages of the parts that bring another row's program, or start it.
PARTS_OF_OTHERS = {
    "@azure/identity", "dnsmasq-base", "tinyproxy-bin", "nftables", "iproute2", "util-linux", "npm", "nodejs", "prometheus-blackbox-exporter", "podman", "runc", "mmdebstrap", "uidmap",
    "debian-archive-keyring", "fonts-dejavu-core", "fonts-inter", "pngquant", "wixl", "msitools", "osslsigncode",
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.title)
def test_named_tests_exist(program):
    assert program.tests
    for path in program.tests:
        assert Path(path).name.startswith("test_")
        assert (ROOT / path).is_file()


@pytest.mark.parametrize(
    "program", [one for one in PROGRAMS if one.origin is not Origin.DEBIAN], ids=lambda program: program.title
)
def test_version_is_the_locked_one(program):
    assert re.match(r"\d", locked(program.origin, program.package))


@pytest.mark.parametrize("program", DEBIAN)
def test_installed_version_is_that_of_the_page(program):
    """On Debian 13. Another system has other versions."""
    query = ["dpkg-query", "--show", "--showformat=${Version}", program.package]
    done = subprocess.run(query, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)  # noqa: S603 - Debian's
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    assert codename != "trixie" or re.match(rf"{re.escape(program.debian)}\b", done.stdout)


def test_every_tool_has_its_row():
    """What `./dev` installs for the tests, and the tools of the locked lists."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    npm = json.loads((ROOT / "tests/repo/release/npm/package.json").read_text())["dependencies"]
    debian = set(
        re.findall(r"(?:[\w.-]+|/\S+):([a-z][\w-]+)", (ROOT / "dev").read_text().split("programs() {")[1].split("\n}")[0])
    )
    assert len(debian) > 20
    named = {one.package for one in PROGRAMS}
    assert {*groups["tools"], *npm, *debian} - named - PARTS_OF_OTHERS == set()


def test_workflow_jobs_exist():
    for path, job in re.findall(r"\[\w+\]\(\.\./\.\./(\.github/workflows/[\w.]+)\)(?:, `(\w+)`)?", PAGE.read_text()):
        text = (ROOT / path).read_text()
        assert not job or f"\n  {job}:\n" in text
