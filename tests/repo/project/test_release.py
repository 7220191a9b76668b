"""Version, licence and changelog agree."""

import re

from exporter import __version__

TAGS = ("[CHANGE]", "[FEATURE]", "[ENHANCEMENT]", "[BUGFIX]")


def test_version_has_one_source(pyproject):
    assert "version" in pyproject["project"]["dynamic"]
    assert "version" not in pyproject["project"]
    assert pyproject["tool"]["hatch"]["version"]["path"] == "exporter/__init__.py"


def test_changelog_begins_with_the_current_version(root):
    headings = re.findall(r"^## (\S+) / (\S+)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0][0] == __version__
    assert all(date == "unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date) for _, date in headings)


def test_every_change_has_a_known_kind_and_breaking_ones_are_first(root):
    for section in re.split(r"^## ", (root / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1:]:
        kinds = [line.split()[1] for line in section.splitlines() if line.startswith("- ")]
        assert kinds
        assert set(kinds) <= set(TAGS)
        assert kinds == sorted(kinds, key=TAGS.index)


def test_licence_file_matches_the_declared_licence(root, pyproject):
    text = (root / "LICENSE").read_text()
    assert pyproject["project"]["license"] == "Apache-2.0"
    assert pyproject["project"]["license-files"] == ["LICENSE"]
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_classifiers_name_the_pythons_that_are_supported(pyproject):
    minors = re.findall(r"Python :: (3\.\d+)", " ".join(pyproject["project"]["classifiers"]))
    assert pyproject["project"]["requires-python"] == f">={minors[0]}"
    assert pyproject["tool"]["mypy"]["python_version"] == minors[0]
    assert pyproject["tool"]["ruff"]["target-version"] == f"py{minors[0].replace('.', '')}"
