"""First actions for a code that a SQL Server logged itself: pages and alerts have the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.codes.model import Category

_COMPARE: Final = (
    "Compare the identity and the key of {server} with those of the probe: `ekm-exporter script verify.sql` has the queries."
)
# By the category of the code, with names to fill in. The codes of other categories have no action of their own.
SERVER_ACTIONS: Final[Mapping[Category, str]] = {
    Category.IDENTITY: "Write the present secret into the credential on {server}: `ekm-exporter script alter-credential.sql` has the "
    "statement. Then repeat a log backup.",
    Category.NETWORK: "Test the way from {server} to the vault, with the proxy of SQL Server's service account.",
    Category.PERMISSION: _COMPARE,
    Category.MISSING: _COMPARE,
    Category.HOST: "On the host of {server}, run `ekm-exporter doctor {target}`: it tests the registry rights of SQL Server's service "
    "account and the DLL.",
    Category.THROTTLED: "Repeat the log backups of {server} when ten minutes pass without 429.",
}
