"""The tree has the expected entries, short files and functions, and nothing of a developer's machine."""

import ast
import re
from pathlib import Path

FOLDERS = {".ci", ".github", "alerts", "bench", "dashboards", "deploy", "docs", "exporter", "tests"}
FILES = {
    ".dockerignore", ".editorconfig", ".gitattributes", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "README.md", "SECURITY.md",
    "dev", "pyproject.toml", "requirements.lock", "requirements-build.lock", "requirements-dev.lock",
    "requirements-windows.lock",
}  # fmt: skip

LONGEST_FILE, LONGEST_FUNCTION = 300, 40
# Exceptions from the limits, with their reasons.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS = {
    "exporter/cli/run.py:add_service_flags": "a list of flags, one after another, without a branch",
    "exporter/clients/entra.py:fetch_token": "one request from its parts to its outcome; its closure belongs to it",
}

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


def test_files_stay_short(root, modules):
    long = {str(path.relative_to(root)) for path, text in texts(modules) if len(text.splitlines()) > LONGEST_FILE}
    assert long <= set(LONG_FILES), "is there a second idea in it? An exception needs a reason in LONG_FILES"


def long_functions(root: Path, path: Path, text: str):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{path.relative_to(root)}:{node.name}"


def test_functions_stay_short(root, modules):
    long = {name for path, text in texts(modules) for name in long_functions(root, path, text)}
    assert long <= set(LONG_FUNCTIONS), "an exception needs a reason in LONG_FUNCTIONS"
