"""The query that compares the vault's public key with the keys of SQL Server.

In which byte order SQL Server stores the modulus is not documented, so the query searches both.
"""

from __future__ import annotations

COMPARE_PUBLIC_KEY: tuple[str, ...] = (
    "In SQL Server. The query lists the asymmetric keys with the public key of this version. Their thumbprint must be the declared one:",
    "  SELECT name, CONVERT(varchar(100), thumbprint, 1) AS thumbprint FROM master.sys.asymmetric_keys",
    "    WHERE CONVERT(varchar(max), public_key, 2) LIKE '%MODULUS_END%'",
    "    OR CONVERT(varchar(max), public_key, 2) LIKE '%MODULUS_REVERSED%';",
    "Then write that thumbprint into the configuration. No row means that SQL Server has no key of this version.",
    "To show the thumbprint that each database uses:",
    "  SELECT DB_NAME(database_id) AS name, CONVERT(varchar(100), encryptor_thumbprint, 1) AS thumbprint",
    "    FROM sys.dm_database_encryption_keys;",
)
MODULUS_BYTES = 32


def modulus_words(modulus: bytes) -> dict[str, str]:
    """Return the last bytes of the modulus in both orders, as hex digits."""
    end = modulus[-MODULUS_BYTES:]
    return {"MODULUS_END": end.hex().upper(), "MODULUS_REVERSED": end[::-1].hex().upper()} if end else {}
