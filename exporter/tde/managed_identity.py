"""What SQL Server and its connector must be for a managed identity. An older SQL Server hangs (KB5043526)."""

from __future__ import annotations

from collections.abc import Iterator

from exporter.tde.findings import Findings, Kind
from exporter.tde.model import Instance, version_number

SQL_SERVER = (16, 0, 4175)  # 2022 CU17
CONNECTOR = (15, 0, 2000, 440)  # of November 2024; an older one fails with message 37576
CATALOG = (1, 0, 5, 0)  # the version that builds since 2018 have in the catalog


def report_managed_identity(instance: Instance, about: str, provider: str, findings: Findings) -> None:
    """Add why a key with a managed identity does not work on this server, or why that is unknown."""
    for text in _problems(instance, provider):
        findings.gap(f"{about}: {text}", instance.server_name, kind=Kind.IDENTITY_UNSUPPORTED)
    for text in _unknown(instance, provider):
        findings.gap(f"{about}: {text}", instance.server_name)


def _problems(instance: Instance, provider: str) -> Iterator[str]:
    if instance.platform == "linux":
        yield "SQL Server on Linux supports no managed identity: use a credential with a client secret"
        return
    product = version_number(instance.product_version)
    if product and product < SQL_SERVER:
        yield (
            f"SQL Server {instance.product_version} hangs with a managed identity (KB5043526): install SQL Server 2022 CU17 "
            "(16.0.4175.1) or later, or use a client secret"
        )
    file, catalog = _connector(instance, provider)
    if (file and file < CONNECTOR) or (not file and catalog and catalog < CATALOG):
        yield "the connector is too old for a managed identity (message 37576): install 15.0.2000.440 or later"


def _unknown(instance: Instance, provider: str) -> Iterator[str]:
    if instance.platform == "linux":
        return
    if not version_number(instance.product_version):
        yield "the version of SQL Server is unknown, and a managed identity needs 2022 CU17 (16.0.4175.1) or later"
    file, catalog = _connector(instance, provider)
    if not file and not (catalog and catalog < CATALOG):
        yield "the version of the loaded DLL is unknown, and a managed identity needs 15.0.2000.440 or later"


def _connector(instance: Instance, provider: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the versions of DLL and catalog, empty if unknown."""
    found = next((one for one in instance.providers if one.name == provider), None)
    return (version_number(found.file_version), version_number(found.version)) if found is not None else ((), ())
