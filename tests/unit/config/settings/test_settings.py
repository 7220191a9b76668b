"""Every setting is read by the code that it is for, not only by the code that loads and prints it."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

import pytest

import exporter
from exporter.config import fields as fields_module
from exporter.config import settings
from exporter.config.settings import Target, setting

PACKAGE = Path(exporter.__file__).parent
# Variables carry the word of their class. Another word for a class:
WORDS = {"Retained": "old", "Invented": "target", "SqlServer": "server"}
# The loader moves these values to another attribute.
MOVED = {"Settings.generation": "Target.generation", "ModuleTls.ca_file": "Module.ca_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invented(Target):
    unread: bool = setting(fields_module.BOOL, "A setting that no code reads.", default=False)


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
    methods = [node for node in ast.walk(ast.parse(inspect.getsource(model))) if isinstance(node, ast.FunctionDef)]
    return {method.name: {name for owner, name in attributes(method) if owner == "self"} for method in methods}


def models() -> Iterator[type]:
    """Every dataclass with settings."""
    yield from (each for each in vars(settings).values() if is_dataclass(each) and each.__module__ == settings.__name__)


def unread(model: type, reads: frozenset[tuple[str, str]]) -> set[str]:
    """The settings of a dataclass that no code reads of a variable of this class, directly or by a method."""
    words = model.__name__.lower(), WORDS.get(model.__name__, model.__name__.lower())
    found = {name for owner, name in reads if any(word in owner.lower() for word in words)}
    for method, names in own_reads(model).items():
        found |= names if method in found else set()
    return {f"{model.__name__}.{each.name}" for each in fields(model) if each.metadata and each.name not in found}


@pytest.fixture(scope="module")
def reads():
    config = PACKAGE / "config"
    return read_in(path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(config))


def test_every_setting_is_read_outside_the_configuration(reads):
    missing = {name for model in models() for name in unread(model, reads)}
    assert missing == set(MOVED)


def test_setting_that_no_code_reads_is_found(reads):
    assert unread(Invented, reads) == {"Invented.unread"}
