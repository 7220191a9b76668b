"""CONTRIBUTING.md names what exists: packages in their order, files, names in them, verbs and modules."""

import re

import pytest

from tests.repo.project.contributing import ROOT, TEXT, named, rows, section

TABLES = {name: row for heading in ("Where things are", "Adding something") for name, row in rows(section(heading)).items()}
PACKAGE = r"`exporter/(\w+)/`"
VERBS = re.split(r"^case \$verb in$", (ROOT / "dev").read_text(encoding="utf-8"), flags=re.MULTILINE)[1]


def test_package_table_lists_exactly_the_packages():
    listed = [name for first in TABLES for name in re.findall(rf"^{PACKAGE}$", first)]
    assert sorted(listed) == sorted(path.parent.name for path in (ROOT / "exporter").glob("*/__init__.py"))


def test_order_of_imports_equals_the_contract(pyproject):
    [sentence] = re.findall(r"from the outside in: (.*?)\.", TEXT)
    [contract] = [one for one in pyproject["tool"]["importlinter"]["contracts"] if one.get("containers") == ["exporter"]]
    layers = [set(layer.split(" | ")) for layer in contract["layers"]]
    assert [set(re.findall(r"`(\w+)`", part)) for part in sentence.split(";")] == [one for one in layers if one != {"__main__"}]


@pytest.mark.parametrize("first", [first for first in TABLES if not re.match(PACKAGE, first)])
def test_row_names_existing_files(first):
    assert [name for name, place in named(first + TABLES[first]) if place is None] == []


def test_names_exist_in_the_files_named_with_them():
    pairs = re.findall(r"`(\w+)`(?: and `(\w+)`)? (?:in|of) (`[\w./-]+\.py`)", TEXT)
    assert len(pairs) > 2
    missing = []
    for *names, file in pairs:
        [(_, place)] = named(file)
        missing += [name for name in names if name not in (place.read_text(encoding="utf-8") if place else "")]
    assert missing == []


def test_verbs_of_dev_exist():
    used = set(re.findall(r"\./dev ([a-z][a-z-]*)", TEXT))
    assert len(used) > 10
    assert used - set(re.findall(r"^  ([a-z-]+)(?: \|[^)]*)?\)", VERBS, re.MULTILINE)) == set()


def test_modules_of_commands_exist():
    modules = set(re.findall(r"python -m ([\w.]+)", TEXT))
    assert len(modules) > 3
    assert [name for name in modules if not (ROOT / name.replace(".", "/")).with_suffix(".py").exists()] == []
