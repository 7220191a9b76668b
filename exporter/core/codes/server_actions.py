"""First actions for a code that a SQL Server logged itself: pages and alerts have the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from exporter.core.codes.model import Category


class ServerAction(NamedTuple):
    """What to do, without a full stop, with the name of its script; and, for pages alone, how."""

    what: str
    how: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.how}" if self.how else f"{self.what}."


_COMPARE: Final = ServerAction(
    "Compare identity and key with those of the probe (`verify.sql`)", "`ekm-exporter script verify.sql` has the queries."
)
# By the category of the code, with names to fill in. The codes of other categories have no action of their own.
SERVER_ACTIONS: Final[Mapping[Category, ServerAction]] = {
    Category.IDENTITY: ServerAction(
        "Write the present secret with `alter-credential.sql`",
        "`ekm-exporter script alter-credential.sql` prints it. On {server}, run it and the statements that it writes. Then repeat a log backup.",
    ),
    Category.NETWORK: ServerAction("Test the network path from {server} to the vault, with the proxy of its service account"),
    Category.PERMISSION: _COMPARE,
    Category.MISSING: _COMPARE,
    Category.HOST: ServerAction(
        "Run `ekm-exporter doctor {target}` on the host of {server}",
        "it tests the registry rights of SQL Server's service account and the DLL.",
    ),
    Category.THROTTLED: ServerAction("Repeat the log backups of {server} after ten minutes without 429"),
}
