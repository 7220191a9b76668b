"""Codes 3500 to 3506: backing up a key, which no part of SQL Server is known to ask for."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG, SERVICE_DEFECT, out_of_memory


def _failed(code: int, symbol: str, summary: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.BACKUP,
        category=Category.PROTOCOL,
        owner=Owner.VAULT,
        summary=f"{summary} No backup was made; databases and their keys are not affected.",
        causes=(
            "A proxy, gateway or security appliance on the way emptied, cut or replaced the answer.",
            SERVICE_DEFECT,
        ),
        actions=(
            "Back the key up directly: `az keyvault key backup --vault-name VAULT --name KEY --file F`.",
            EVENT_LOG,
        ),
        unobservable_because=(
            "No connector build is known to back keys up, and it takes the right `backup`, which a least-privilege identity lacks; "
            "so no probe tries it."
        ),
    )


BACKUP: tuple[ConnectorError, ...] = (
    out_of_memory(3500, "ErrorBackupKeyOutOfMemoryConvertResponseString", Layer.BACKUP, "converting a key backup to text"),
    out_of_memory(3501, "ErrorBackupKeyOutOfMemoryConcatPath", Layer.BACKUP, "building the address of a backup request"),
    out_of_memory(3502, "ErrorBackupKeyOutOfMemoryConcatHeader", Layer.BACKUP, "building the header of a backup request"),
    _failed(3503, "ErrorBackupKeyNoResponse", "Asked to back a key up, the vault sent an empty answer."),
    _failed(3504, "ErrorBackupKeyJsonParser", "Asked to back a key up, the vault's side sent something that is no JSON."),
    _failed(3505, "ErrorBackupKeyExtractValue", "The answer to a key backup has no `value`, where the backup should be."),
    _failed(3506, "ErrorBackupKeyBase64DecodeValue", "The answer to a key backup has a `value` that is no valid Base64."),
)
