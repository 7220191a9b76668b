"""The reader of an action: who takes it, if that is not the team of the failure.

An action is a text. One of another reader knows him, also after its names are filled in.
"""

from __future__ import annotations

from functools import partial
from typing import Self

from exporter.core.codes.model import Owner


class AddressedAction(str):
    """An action of a certain reader."""

    __slots__ = ("reader",)
    reader: Owner

    def __new__(cls, text: str, reader: Owner) -> Self:
        action = super().__new__(cls, text)
        action.reader = reader
        return action

    def __getnewargs__(self) -> tuple[str, Owner]:  # type: ignore[override]  # a copy has the reader too
        return str(self), self.reader


for_dba = partial(AddressedAction, reader=Owner.DBA)
for_exporter = partial(AddressedAction, reader=Owner.EXPORTER)
for_identity = partial(AddressedAction, reader=Owner.IDENTITY)
for_network = partial(AddressedAction, reader=Owner.NETWORK)
for_vault = partial(AddressedAction, reader=Owner.VAULT)


def reader_of(action: str) -> Owner | None:
    """Return the reader; None: the team of the failure."""
    return action.reader if isinstance(action, AddressedAction) else None


def reworded(action: str, text: str) -> str:
    """Return another text of an action, with its reader."""
    return AddressedAction(text, action.reader) if isinstance(action, AddressedAction) else text
