"""Every setting is read by the code that it is for, not only by the code that loads and prints it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

import exporter
from exporter.config.settings import Credential, Module, Proxy, Retained, Settings, Target
from exporter.config.settings.metadata import setting
from exporter.config.settings.module import Tls
from exporter.config.yaml import types

PACKAGE = Path(exporter.__file__).parent
# The words in the names of variables that hold a value of the class.
WORDS = {
    Settings: ("settings",),
    Credential: ("credential",),
    Module: ("module",),
    Proxy: ("proxy",),
    Tls: ("tls",),
    Target: ("target",),
    Retained: ("retained", "old"),
}
# The loader moves these values to another attribute.
MOVED = {"Settings.generation": "Target.generation", "Tls.ca_file": "Module.ca_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invented(Target):
    unread: bool = setting(types.BOOL, "A setting that no code reads.", default=False)


def attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each attribute that the code reads, after the last part of the expression before the dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            yield owner.attr if isinstance(owner, ast.Attribute) else ast.unparse(owner), node.attr


def read_in(files: Iterator[Path]) -> frozenset[tuple[str, str]]:
    return frozenset(pair for file in files for pair in attributes(ast.parse(file.read_text(encoding="utf-8"))))


def own_reads(model: type) -> dict[str, set[str]]:
    """The attributes that each method of the class reads of its own object, by the name of the method."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in (PACKAGE / "config" / "settings").glob("*.py")]
    classes = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == model.__name__
    ]
    methods = [node for each in classes for node in each.body if isinstance(node, ast.FunctionDef)]
    return {method.name: {name for owner, name in attributes(method) if owner == "self"} for method in methods}


def unread(model: type, words: tuple[str, ...], reads: frozenset[tuple[str, str]]) -> set[str]:
    """The settings of a dataclass that no code reads of a variable of this class, directly or by a method."""
    found = {name for owner, name in reads if any(word in owner.lower() for word in words)}
    for method, names in own_reads(model).items():
        found |= names if method in found else set()
    return {f"{model.__name__}.{attribute.name}" for attribute in fields(model) if attribute.metadata} - {
        f"{model.__name__}.{name}" for name in found
    }


@pytest.fixture(scope="module")
def reads():
    config = PACKAGE / "config"
    return read_in(path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(config))


def test_every_setting_is_read_outside_the_configuration(reads):
    missing = {name for model, words in WORDS.items() for name in unread(model, words, reads)}
    assert missing == set(MOVED)


def test_setting_that_no_code_reads_is_found(reads):
    assert unread(Invented, WORDS[Target], reads) == {"Invented.unread"}
