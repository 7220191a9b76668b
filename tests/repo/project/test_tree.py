"""The tree has the expected entries, and nothing of a developer's machine."""

import ast
import re

FOLDERS = {".ci", ".github", "alerts", "bench", "dashboards", "deploy", "docs", "exporter", "tests"}
FILES = {
    ".dockerignore", ".editorconfig", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "README.md", "SECURITY.md",
    "dev", "pyproject.toml", "requirements.lock", "requirements-build.lock", "requirements-dev.lock",
    "requirements-windows.lock",
}  # fmt: skip

PICTURES = {".png"}  # files without text

NO_PLACE_ON_A_MACHINE = re.compile(r"(?<![\w.])/(?:root|home/\w+|Users/\w+|work)/")
NO_PACKAGE_SERVER = re.compile(r"(?:pypi|pythonhosted|deb\.debian|registry\.npmjs|docker)\.(?:org|io|com)\b")
NOTHING_LEFT_OPEN = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX|NotImplemented" r"Error)\b")
NOTHING_SKIPPED = re.compile(r"pytest\.(?:mark\.)?(?:sk" r"ip|xf" r"ail)|importor" r"skip|unittest\.sk" r"ip")


def texts(files):
    for path in files:
        if path.suffix not in PICTURES:
            yield path, path.read_text(encoding="utf-8")


def found(root, files, pattern):
    return [
        f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"
        for path, text in texts(files)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_top_level_has_listed_entries_only(root, tracked):
    tops = {path.relative_to(root).parts for path in tracked}
    assert {parts[0] for parts in tops if len(parts) > 1} <= FOLDERS
    assert {parts[0] for parts in tops if len(parts) == 1} == FILES


def test_no_file_has_a_path_of_a_developers_machine(root, tracked):
    assert found(root, tracked, NO_PLACE_ON_A_MACHINE) == []
    assert found(root, tracked, re.compile(re.escape(f"{root}/"))) == []


def test_no_file_names_a_package_server(root, tracked):
    assert found(root, tracked, NO_PACKAGE_SERVER) == []


def test_no_file_has_an_open_task(root, tracked):
    assert found(root, [path for path in tracked if path.name != "LICENSE"], NOTHING_LEFT_OPEN) == []


def test_no_test_is_skipped(root, tracked):
    assert found(root, [path for path in tracked if path.suffix == ".py"], NOTHING_SKIPPED) == []


def test_no_cache_or_build_result_is_tracked(root, tracked):
    unwanted = {".venv", ".cache", "__pycache__", "build", "dist", "node_modules"}
    assert [path for path in tracked if unwanted & set(path.relative_to(root).parts)] == []


def test_every_module_has_a_docstring(modules):
    assert [path.name for path, text in texts(modules) if not ast.get_docstring(ast.parse(text))] == []


def test_no_module_has_a_catch_all_name(modules):
    assert [path.name for path in modules if path.stem in ("utils", "util", "helpers", "common", "misc")] == []
