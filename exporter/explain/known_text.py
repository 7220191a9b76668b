"""`KnownText`, a text that SQL Server, the connector or a database shows and that is no connector code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownText:
    """One text, with its meaning. Texts follow the rules of `ConnectorError`.

    `number` is that of a message of SQL Server. `pattern` finds the English text, in lower case; empty if the number alone counts.
    `has_code` is True if the text ends with a provider code, which then decides. `codes` are related connector codes.
    """

    title: str
    pattern: str
    summary: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]
    number: int | None = None
    has_code: bool = False
    codes: tuple[int, ...] = ()
    commands: tuple[str, ...] = ()
    effect: str = ""  # what fails in SQL Server and when, if no code states it

    @property
    def headline(self) -> str:
        """The title with the number, if it has one."""
        return self.title if self.number is None else f"Message {self.number} of SQL Server: {self.title}"
