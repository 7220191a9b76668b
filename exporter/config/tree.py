"""Read a YAML file into a tree whose nodes have a line and a column, and keep the problems found at them.

Built from libyaml's events, because the limits must hold while the tree grows: nested aliases are refused before they expand.
No message contains a value that could be a secret: the location is enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import yaml

SIZE_LIMIT = 16 * 1024 * 1024
DEPTH_LIMIT = 32
NODE_LIMIT = 1_000_000  # of one file; an alias counts as its content


class Type(Enum):
    """The type of a node; the value completes "expected …, found"."""

    TEXT = "a text"
    NUMBER = "a number"
    BOOL = "true or false"
    DATE = "a date"
    NOTHING = "nothing"
    LIST = "a list"
    MAPPING = "a mapping"


class Node(NamedTuple):
    """A value at its place: one text, or the items of a list, or the keys and values of a mapping in turn; keys may repeat."""

    line: int
    column: int
    type: Type
    text: str = ""
    items: tuple[Node, ...] = ()
    size: int = 1  # number of its values with those of its aliases
    height: int = 0  # number of its levels

    def __repr__(self) -> str:
        return f"{self.type.name} at {self.line}:{self.column}"  # the text may be a secret

    @property
    def entries(self) -> Iterator[tuple[Node, Node]]:
        """The pairs of key and value of a mapping."""
        return zip(self.items[::2], self.items[1::2], strict=True)


class DocumentError(Exception):
    """Why the text is no document, and where (from 1). The message contains nothing of the text."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


def read_document(data: bytes) -> Node:
    """Read the only document in `data`. Raises DocumentError."""
    text = _decode(data)
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml: ten times as fast
    events, root = yaml.parse(text, Loader=loader), None
    builder = _TreeBuilder(events)
    try:
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                root = builder.read(event, 0)
            elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _refused(event, "a second document: remove the line ---, or move the rest to another file")
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, text) from None
    except yaml.YAMLError:
        raise DocumentError(1, 1, "not YAML") from None
    if root is None or root.type is Type.NOTHING:
        raise DocumentError(1, 1, "the file is empty")
    return root


_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = {
    "str": Type.TEXT,
    "int": Type.NUMBER,
    "float": Type.NUMBER,
    "bool": Type.BOOL,
    "null": Type.NOTHING,
    "timestamp": Type.DATE,
    "merge": Type.TEXT,
    "value": Type.TEXT,
}
# Not allowed in YAML, and lone surrogates.
_REFUSED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG = "an unknown tag: remove it, or put a text that starts with ! in quotes"
_TOO_DEEP = f"nested deeper than {DEPTH_LIMIT} levels"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def _decode(data: bytes) -> str:
    if data.startswith(_UTF16):
        raise DocumentError(1, 1, "UTF-16: save the file as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise DocumentError(
            before.count(b"\n") + 1, column, f"not UTF-8: byte 0x{data[error.start]:02x}: save the file as UTF-8"
        ) from None
    refused = _REFUSED.search(text)
    if refused is not None:
        good = text[: refused.start()]
        message = f"not a text file: character U+{ord(refused[0]):04X}"
        raise DocumentError(good.count("\n") + 1, len(good) - good.rfind("\n"), message)
    return text


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> DocumentError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.split("\n")
    indentation = re.match(r"[ \t]*", lines[line])[0] if line < len(lines) else ""  # type: ignore[index]
    if "\t" in indentation:
        return DocumentError(line + 1, indentation.index("\t") + 1, "a tab: indent with spaces")
    # The parser quotes at most one character.
    reason = " ".join(part for part in (error.problem, error.context) if part)
    return DocumentError(line + 1, column + 1, f"not YAML: {reason}: check quotes, brackets and indentation up to here")


class _TreeBuilder:
    """Builds the tree from events. The limit of the depth is that of the recursion."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._resolver: Any = yaml.resolver.Resolver()

    def read(self, event: Any, depth: int) -> Node:
        """Return what begins with this event, inside as many collections as `depth`."""
        if isinstance(event, yaml.AliasEvent):
            found = self._anchors.get(event.anchor or "")
            if found is None:  # open ones are missing, so no node contains itself
                raise _refused(event, "an alias without an anchor before it: put a text that starts with * in quotes")
            if depth + found.height > DEPTH_LIMIT:
                raise _refused(event, _TOO_DEEP)
            self._count(found.size, event)
            return found
        found = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else self._collection(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = found
        return found

    def _scalar(self, event: Any) -> Node:
        tag = event.tag
        if tag is None or tag == "!":
            plain = (event.implicit[0], event.implicit[1]) if tag is None else (False, True)
            tag = self._resolver.resolve(yaml.ScalarNode, event.value, plain)
        type_ = _SCALAR_TAGS.get(tag.removeprefix(_CORE)) if tag.startswith(_CORE) else None
        if type_ is None:
            raise _refused(event, _TAG)
        return Node(event.start_mark.line + 1, event.start_mark.column + 1, type_, event.value)

    def _collection(self, event: Any, depth: int) -> Node:
        mapping, items = isinstance(event, yaml.MappingStartEvent), list[Node]()
        if event.tag not in (None, "!", _CORE + ("map" if mapping else "seq")):
            raise _refused(event, _TAG)
        if depth >= DEPTH_LIMIT:
            raise _refused(event, _TOO_DEEP)
        for inner in self._events:
            if isinstance(inner, yaml.CollectionEndEvent):
                break
            item = self.read(inner, depth + 1)
            self._count(1, inner)
            items.append(item)
        for key in items[::2] if mapping else ():
            if key.type in (Type.LIST, Type.MAPPING):
                raise DocumentError(key.line, key.column, "expected a plain word as the key")
        size, height = 1 + sum(each.size for each in items), 1 + max((each.height for each in items), default=0)
        mark, type_ = event.start_mark, Type.MAPPING if mapping else Type.LIST
        return Node(mark.line + 1, mark.column + 1, type_, "", tuple(items), size, height)

    def _count(self, amount: int, event: Any) -> None:
        self._nodes += amount
        if self._nodes > NODE_LIMIT:
            raise _refused(event, f"more than {NODE_LIMIT} values, counting the content of aliases")


def _refused(event: Any, message: str) -> DocumentError:
    return DocumentError(event.start_mark.line + 1, event.start_mark.column + 1, message)


class Problem(NamedTuple):
    """One problem or warning. `line` and `column` count from 1; `path` is like `targets[0].key`, empty for a whole file."""

    file: str
    line: int
    column: int
    path: str
    message: str

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def what(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class ProblemList:
    """Problems and warnings without duplicates, in the order of `files` and lines.

    `references` are the names that were read: the section in which each is to be declared, the name, and its place. `secrets` are those
    that were read, as they are sent, with the places of their sources.
    """

    files: dict[str, int] = field(default_factory=dict)  # with their position
    references: list[tuple[str, str, Location]] = field(default_factory=list)
    secrets: list[tuple[Location, str]] = field(default_factory=list, repr=False)
    found: dict[bool, dict[Problem, None]] = field(default_factory=lambda: {False: {}, True: {}})  # whether they are warnings

    @property
    def errors(self) -> tuple[Problem, ...]:
        return self._sorted(self.found[False])

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self._sorted(self.found[True])

    def _sorted(self, problems: dict[Problem, None]) -> tuple[Problem, ...]:
        return tuple(sorted(problems, key=lambda problem: (self.files[problem.file], problem.line, problem.column)))


class Location(NamedTuple):
    """A place in a file, at which problems are reported. `base` is the folder for relative paths."""

    problems: ProblemList
    file: str
    base: Path
    line: int = 1
    column: int = 1
    path: str = ""

    def with_position(self, line: int, column: int) -> Location:
        return Location(self.problems, self.file, self.base, line, column, self.path)

    def child(self, name: str) -> Location:
        path = f"{self.path}.{name}" if self.path else name
        return Location(self.problems, self.file, self.base, self.line, self.column, path)

    def item(self, index: int) -> Location:
        return Location(self.problems, self.file, self.base, self.line, self.column, f"{self.path}[{index}]")

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def error(self, message: str, *, warning: bool = False) -> None:
        self.problems.found[warning][Problem(self.file, self.line, self.column, self.path, message)] = None

    def warn(self, message: str) -> None:
        self.error(message, warning=True)
