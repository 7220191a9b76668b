"""What the simulator assumes where the behaviour of Azure or SQL Server is not documented."""

from __future__ import annotations

ASSUMPTIONS: tuple[str, ...] = (
    (
        "An expired or not yet valid key refuses the wrap with 403 (documented) and the inner codes `KeyExpired` and "
        "`KeyNotYetValid` (not documented)."
    ),
    "A disabled key refuses the wrap too (that it refuses the unwrap is known).",
    "A request for an operation that is missing in `key_ops` gets the inner code `KeyOperationForbidden`.",
    "AADSTS700016, 90002, 7000112 and 53003 have HTTP 400.",
    (
        "An expired certificate is AADSTS1000502, an assertion for another application 700021, and one for another "
        "address 700023, all with HTTP 401."
    ),
    (
        "An identity service returns 400 for an unknown identity, with `invalid_request` on a VM and on Azure Arc. "
        "Azure Arc also returns 400 for a request without `Metadata: true`."
    ),
    (
        "Entra refuses a service account's token with HTTP 401 and AADSTS700211 (issuer), 700213 (subject), 700212 "
        "(audience), 700024 (times) or 700027 (signature). All of them except 700212 have been reported. Before 2024 "
        "the first three were 70021 with HTTP 400, as in the fault `federation_unmatched`."
    ),
    (
        "Microsoft Graph throttles with the code `TooManyRequests` and a Retry-After of 10 seconds. It names a "
        "certificate by the Base64 of its SHA-1 thumbprint. The expiry of a simulated secret without one is 2099."
    ),
    (
        "`xp_regread` and `xp_regenumkeys` report a missing entry as information message 22001 without rows; their "
        "columns have the names `Value`, `Data` and `SubKey`."
    ),
    (
        "The connector keeps a token until 75 minutes after the sign-in, also when the secret in SQL Server changes, "
        "and no answer of the vault; a start of the service forgets it."
    ),
    ("A database whose VLF cannot be made stays online and writes nothing; a secondary replica sends no request of its own."),
    (
        "Each failed backup writes the messages 18204 and 3041; a login without a credential writes no line with a "
        "provider's code."
    ),
    "SQL Server shows a public key as PUBLICKEYBLOB of the Windows CryptoAPI.",
    "A caller can have the right to read keys without the right to read deleted keys (403 at `/deletedkeys`).",
    (
        "A missing secret has an empty list of versions; versions are in the order of their names, 25 on a page; the "
        "link to the next page names port 443."
    ),
)
