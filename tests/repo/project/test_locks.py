"""The locked lists have every requirement on each supported Python, and no package source."""

import re
from collections.abc import Iterator
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11", "3.12", "3.13")
LISTS = {
    "requirements.lock": ("project", "sql"),
    "requirements-build.lock": ("build",),
    "requirements-windows.lock": ("project", "extras"),
    "requirements-dev.lock": ("project", "extras", "build", "dev"),
}


def pins(text: str) -> dict[str, Version]:
    return {canonicalize_name(name): Version(version) for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def wanted(pyproject, names: tuple[str, ...]) -> list[str]:
    optional = pyproject["project"]["optional-dependencies"]
    extras = [line for lines in optional.values() for line in lines]
    groups = {"project": pyproject["project"]["dependencies"], "extras": extras, **optional, **pyproject["dependency-groups"]}
    return [line for name in names for line in groups[name]]


def everything_needed(lines: list[str], python: str) -> Iterator[Requirement]:
    """Return the requirements and their dependencies on Linux under `python`, from the installed packages."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
    }

    def needed(lines: list[str], extra: str = "") -> list[Requirement]:
        requirements = [Requirement(line) for line in lines]
        return [one for one in requirements if one.marker is None or one.marker.evaluate({**environment, "extra": extra})]

    todo, seen = needed(lines), set()
    while todo:
        requirement = todo.pop()
        for extra in requirement.extras or {""}:
            if (key := (canonicalize_name(requirement.name), extra)) in seen:
                continue
            seen.add(key)
            yield requirement
            todo += needed(requires(requirement.name) or [], extra)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LISTS)
def test_list_has_every_requirement_on_each_python(root, pyproject, name, python):
    locked = pins((root / name).read_text())
    for requirement in everything_needed(wanted(pyproject, LISTS[name]), python):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in {name}: run ./dev lock"
        assert version in requirement.specifier, f"{name} holds {version}, but {requirement} is needed: run ./dev lock"


def test_lists_have_the_same_versions(root):
    locked = {name: pins((root / name).read_text()) for name in LISTS}
    everything = locked["requirements-dev.lock"]
    for name in LISTS:
        assert {package: everything.get(package) for package in locked[name]} == locked[name]


@pytest.mark.parametrize(
    "name",
    [
        *LISTS,
        "tests/recorded/source.lock",
        "tests/system/windows/python.lock",
        "tests/repo/release/tools.lock",
        "tests/repo/release/site.lock",
        "tests/repo/release/audit.lock",
        "tests/repo/release/oldest.lock",
    ],
)
def test_each_package_of_a_list_has_hashes_and_no_source(root, name):
    text = (root / name).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert re.search(r"^\s*--(?!hash)|://", text, re.MULTILINE) is None


def test_the_build_group_is_what_the_build_system_requires(pyproject):
    assert pyproject["dependency-groups"]["build"] == pyproject["build-system"]["requires"]
