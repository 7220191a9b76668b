"""KeyUri of each thumbprint, from the registry of the SQL Server's host, over SQL.

Microsoft ships these procedures and documents none of them. They only read. Their variants named `xp_instance_...` replace parts of
a path by the keys of the instance. The connector's key belongs to the computer, so these leave the path as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from exporter.core.connector_registry import ENTRIES
from exporter.core.quoting import sql_text
from exporter.sqlservers.driver import Result
from exporter.sqlservers.failure import SqlStatementError
from exporter.sqlservers.sql_errors import MISSING_ENTRY, SqlMessage
from exporter.tde.registry import RegistryUri

ROOT = ENTRIES
SUBKEYS = "EXEC master.dbo.xp_regenumkeys N'HKEY_LOCAL_MACHINE', {path};"  # a row for each subkey: its name
KEY_URI = "EXEC master.dbo.xp_regread N'HKEY_LOCAL_MACHINE', {path}, N'KeyUri';"  # a row: name and data of the value
_NOT_FOUND = "2"  # of Windows, the first number of the message in any language
_DEPTH = 3  # levels below ROOT: vault, thumbprint, and one to spare
_MOST = 5000  # queries of one registry; two for each key
_LONGEST = {SUBKEYS: 255, KEY_URI: 2048}  # characters: of a name in Windows' registry, and of a URI
_TOO_LONG = SqlMessage(
    0, 16, "the registry has a name or a KeyUri that is too long below the connector's key: use reg query on the host"
)
_TOO_MANY = SqlMessage(0, 16, "the registry has too many entries below the connector's key: use reg query on the host")

Query = Callable[[str], Result]


def read_key_uris(query: Query) -> tuple[RegistryUri, ...]:
    """Return every KeyUri. Raises SqlStatementError without the right to read, and SqlConnectionError."""
    return tuple(_Walk(query).below(ROOT, _DEPTH))


class _Walk:
    """Reads the keys below one path, with a limited number of queries."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._left = _MOST

    def below(self, path: str, depth: int) -> Iterator[RegistryUri]:
        for name in self._cells(SUBKEYS, path):
            child = f"{path}\\{name}"
            uris = self._cells(KEY_URI, child)
            if uris:
                yield RegistryUri(name, uris[0])
            elif depth > 1:
                yield from self.below(child, depth - 1)

    def _cells(self, statement: str, path: str) -> list[str]:
        """The last cell of each row; none if the key or the value does not exist."""
        self._left -= 1
        if self._left < 0:
            raise SqlStatementError((_TOO_MANY,))
        try:
            result = self._query(statement.format(path=sql_text(path)))
        except SqlStatementError as error:
            if all(_is_missing(message) for message in error.messages):
                return []
            raise
        refused = [message for message in result.messages if message.number == MISSING_ENTRY and not _is_missing(message)]
        if refused:  # an information message: SQL Server itself raises no error
            raise SqlStatementError(tuple(refused))
        cells = [str(row[-1]) for row in result.rows if row[-1] is not None]
        if any(len(cell) > _LONGEST[statement] for cell in cells):
            raise SqlStatementError((_TOO_LONG,))
        return cells


def _is_missing(message: SqlMessage) -> bool:
    number = re.search(r"\d+", message.text)
    return message.number == MISSING_ENTRY and number is not None and number[0] == _NOT_FOUND
