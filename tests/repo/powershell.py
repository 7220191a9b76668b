"""PowerShell as a syntax tree."""

from collections.abc import Iterator

import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

_PARSER = Parser(Language(tree_sitter_powershell.language()))


def parsed(code: str | bytes) -> Node:
    return _PARSER.parse(code.encode() if isinstance(code, str) else code).root_node


def walked(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walked(child)


def errors(root: Node) -> list[Node]:
    return [one for one in walked(root) if one.type == "ERROR" or one.is_missing]


def texts(root: Node, kind: str) -> list[str]:
    """Return the texts of the nodes of a kind, in their order."""
    return [(one.text or b"").decode() for one in walked(root) if one.type == kind]
