"""First actions for a code that a SQL Server logged itself: pages and alerts have the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from exporter.core.codes.model import Category


class ServerAction(NamedTuple):
    """What to do, without a full stop, and how as a sentence; alerts have no room for how."""

    what: str
    how: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.how}" if self.how else f"{self.what}."


_COMPARE: Final = ServerAction(
    "Compare the identity and the key of {server} with those of the probe", "`ekm-exporter script verify.sql` has the queries."
)
# By the category of the code, with names to fill in. The codes of other categories have no action of their own.
SERVER_ACTIONS: Final[Mapping[Category, ServerAction]] = {
    Category.IDENTITY: ServerAction(
        "Write the present secret into the credential on {server}",
        "`ekm-exporter script alter-credential.sql` has the statement. Then repeat a log backup.",
    ),
    Category.NETWORK: ServerAction("Test the way from {server} to the vault, with the proxy of its service account"),
    Category.PERMISSION: _COMPARE,
    Category.MISSING: _COMPARE,
    Category.HOST: ServerAction(
        "Run `ekm-exporter doctor {target}` on the host of {server}",
        "it tests the registry rights of SQL Server's service account and the DLL.",
    ),
    Category.THROTTLED: ServerAction("Repeat the log backups of {server} when ten minutes pass without 429"),
}
