"""Which target of an exporter a text names: by its own name, by its key version, or by the key's URI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from exporter.core.suggestions import nearest
from exporter.tde.declared_targets import DeclaredKey

Named = TypeVar("Named", bound="NamedKey")


class NamedKey(DeclaredKey, Protocol):
    """The key of a target, with the target's name."""

    @property
    def name(self) -> str: ...


class ChoiceError(Exception):
    """Why no target is chosen, and what to do."""


class UnknownKeyError(ChoiceError):
    """No target has this name or this key."""


def choose_target(text: str, targets: Sequence[Named]) -> Named:
    """Return the target of this name, else the first one of this key. Raises ChoiceError."""
    wanted = text.removesuffix("/").casefold()
    found = [one for one in targets if one.name == text] or [one for one in targets if wanted in _names(one)]
    vaults = sorted({one.vault for one in found})
    if len(vaults) > 1:
        raise ChoiceError(f"{text!r} is a key in {len(vaults)} vaults: write its URI, such as {_uri(found[0])}")
    if not found:
        names = [name for one in targets for name in (one.name, one.key_name)]
        raise UnknownKeyError(
            f"no target and no key {text!r}{nearest(text, names)}: write a target's name, KEY/VERSION or the key's URI"
        )
    return found[0]


def _names(target: NamedKey) -> tuple[str, ...]:
    """Return the names of a key, with and without its version, in lower case."""
    key = target.key_name if target.key_version is None else f"{target.key_name}/{target.key_version}"
    return tuple(
        name.casefold() for name in (target.key_name, key, f"https://{target.vault}/keys/{target.key_name}", _uri(target))
    )


def _uri(target: NamedKey) -> str:
    version = "" if target.key_version is None else f"/{target.key_version}"
    return f"https://{target.vault}/keys/{target.key_name}{version}"
