"""A file, module or name of the repository that a text cites exists."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

QUOTED = re.compile(r"`([^`\s]+)`")
FILE = re.compile(r"[\w.*-]+(?:/[\w.*-]+)+\.(?:py|md|ya?ml|sql|json|css|js|toml)")
MODULE = re.compile(r"[a-z_]\w*(?:\.\w+)+")
IN_MODULE = re.compile(r"(?:[a-z_]+\.)+[A-Z]\w+")  # a class or a constant
NAME_OF_FILE = re.compile(r"`(\w+)`(?: and `(\w+)`)? (?:in|of) `([\w/]+\.py)`")
TOPS = {"alerts", "bench", "dashboards", "deploy", "docs", "exporter", "tests"}
FILE_ENDINGS = {"cjs", "json", "md", "ps1", "py", "sql", "toml", "yml", "yaml"}
NO_REFERENCES = {
    "alerts/runbooks/NAME.md": "a pattern of names",
    "credentials.NAME": "a setting",
    "modules.NAME": "a setting",
    "dashboards.enabled": "a value of the chart",
}


def prose(path: Path) -> str:
    """Return the text of a document, or the comments and strings of a module."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(token.string for token in tokens if token.type in (tokenize.COMMENT, tokenize.STRING))


@cache
def names_of(path: Path) -> frozenset[str]:
    """Return every name that a module binds or imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.alias(asname=str(name)) | ast.alias(name=name):
                names.add(name)
    return frozenset(names)


def resolves(folder: Path, parts: list[str]) -> bool:
    """Whether the parts lead from a folder to a package, a module, or a name in one."""
    first, rest = parts[0], parts[1:]
    if (folder / f"{first}.py").is_file():
        return not rest or rest[0] in names_of(folder / f"{first}.py")
    if (folder / first).is_dir():
        return not rest or resolves(folder / first, rest)
    return not rest and (folder / "__init__.py").is_file() and first in names_of(folder / "__init__.py")


class References:
    """Finds the references of a checkout that lead to nothing."""

    def __init__(self, root: Path, files: list[Path]) -> None:
        self._root, self._files = root, [path for path in files if path.suffix in {".py", ".md"}]
        self._packages = {path.name for path in (root / "exporter").iterdir() if path.is_dir()}
        self._modules: dict[str, list[Path]] = {}
        for path in self._files:
            if path.suffix == ".py":
                self._modules.setdefault(path.parent.name if path.stem == "__init__" else path.stem, []).append(path)

    def missing(self) -> Iterator[str]:
        for path in self._files:
            text = prose(path)
            for name in QUOTED.findall(text):
                if name not in NO_REFERENCES and self._is_missing(path, name):
                    yield f"{path.relative_to(self._root)}: {name}"
            for *names, file in NAME_OF_FILE.findall(text):
                known = [name for base in self._bases(path) if (base / file).is_file() for name in names_of(base / file)]
                yield from (f"{path.relative_to(self._root)}: {name} of {file}" for name in names if name and name not in known)

    def _bases(self, path: Path) -> tuple[Path, ...]:
        return self._root, self._root / "exporter", path.parent

    def _is_missing(self, path: Path, name: str) -> bool:
        if FILE.fullmatch(name):
            first = name.partition("/")[0]
            bases = [base for base in self._bases(path) if (base / first).is_dir()]
            return bool(bases) and not any(any(base.glob(name)) for base in bases)
        parts = name.split(".")
        if not MODULE.fullmatch(name) or parts[-1] in FILE_ENDINGS:
            return False
        if parts[0] in TOPS:
            return not resolves(self._root, parts)
        if parts[0] in self._packages:
            return not resolves(self._root / "exporter", parts)
        if IN_MODULE.fullmatch(name) and parts[0] not in sys.stdlib_module_names:
            return not any(parts[-1] in names_of(module) for module in self._modules.get(parts[-2], ()))
        return False


def test_each_cited_file_and_name_exists(root: Path, tracked: list[Path]) -> None:
    assert list(References(root, tracked).missing()) == []


def test_each_exception_is_cited(tracked: list[Path]) -> None:
    cited = {name for path in tracked if path.suffix in {".py", ".md"} for name in QUOTED.findall(prose(path))}
    assert set(NO_REFERENCES) <= cited
