"""Codes 3500 to 3506: key backup, which no part of SQL Server is known to use."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG, SERVICE_DEFECT, out_of_memory_row


def _failed(code: int, symbol: str, summary: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.BACKUP,
        category=Category.PROTOCOL,
        owner=Owner.VAULT,
        summary=f"{summary} The backup failed. Databases and their keys are not affected.",
        causes=(
            "A proxy, gateway or security appliance emptied, cut or replaced the response.",
            SERVICE_DEFECT,
        ),
        actions=(
            "Back up the key directly: `az keyvault key backup --vault-name VAULT --name KEY --file F`.",
            EVENT_LOG,
        ),
        unobservable_because=(
            "No connector build is known to back up keys. The request needs the `backup` permission, which a least-privilege "
            "identity lacks."
        ),
    )


BACKUP: tuple[ConnectorError, ...] = (
    out_of_memory_row(3500, "ErrorBackupKeyOutOfMemoryConvertResponseString", Layer.BACKUP, "converting a key backup to text"),
    out_of_memory_row(3501, "ErrorBackupKeyOutOfMemoryConcatPath", Layer.BACKUP, "building the URL of a backup request"),
    out_of_memory_row(3502, "ErrorBackupKeyOutOfMemoryConcatHeader", Layer.BACKUP, "building the header of a backup request"),
    _failed(3503, "ErrorBackupKeyNoResponse", "The vault returned an empty response to a key backup."),
    _failed(3504, "ErrorBackupKeyJsonParser", "The response to a key backup is not JSON."),
    _failed(3505, "ErrorBackupKeyExtractValue", "The response to a key backup has no `value`."),
    _failed(3506, "ErrorBackupKeyBase64DecodeValue", "The `value` in the response to a key backup is not valid Base64."),
)
