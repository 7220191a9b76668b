"""Rows of the steps of the connector: challenge, token, get_key, wrap and unwrap, and the credential of the sign-in request."""

from __future__ import annotations

from exporter.knowledge.code_row import (
    DO_NOT_RESTART,
    EVENT_LOG,
    FIND_INTERCEPTION,
    FIND_REASON,
    IF_PROBE_SUCCEEDS,
    IF_SQL_SERVER_SHOWS_IT,
    NEW_SECRET,
    NOT_A_VAULT,
    REWRITTEN,
    SERVICE_DEFECT,
    SET_ONLINE,
    SHOW_THE_SERVER,
    SUPPORT,
    TEST_SECRET,
    USE_ITS_TENANT,
    WITHOUT_THE_KEY,
    WITHOUT_WRAP,
    WRITE_SECRET,
    Category,
    ConnectorError,
    Layer,
    Owner,
    for_dba,
    for_network,
    for_vault,
    out_of_memory_row,
)

_FIND_DEVICE = for_network("Find the device on the route that rewrites the response, and exempt the vault and Entra ID there.")

# Codes 3200 to 3208: the `WWW-Authenticate` header of the vault's first response.


def _malformed(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.PROTOCOL, Owner.NETWORK, layer=Layer.CHALLENGE).saying(
        summary=f"{summary} The connector gets no token, so SQL Server gets no key.",
        effect=WITHOUT_THE_KEY,
        causes=(*causes, REWRITTEN, NOT_A_VAULT),
        actions=(SHOW_THE_SERVER, FIND_INTERCEPTION, DO_NOT_RESTART),
    )


_LITERAL = "The header is valid but uses another form or order. The connector only finds the literal text it searches for."

CHALLENGE: tuple[ConnectorError, ...] = (
    out_of_memory_row(3200, "ErrorGetAADValuesOutOfMemoryConcatPath", Layer.CHALLENGE, "building the URL of its first request"),
    _malformed(
        3201,
        "ErrorGetAADDomainUrlStartPosition",
        "The header of the vault's 401 does not start with `Bearer authorization=\"https://`. The connector needs it to find the sign-in host.",
        _LITERAL,
    ),
    _malformed(
        3202,
        "ErrorGetAADDomainUrlStopPosition",
        "The header of the vault's 401 has no closing quote after the sign-in URL.",
        "A proxy or gateway cut the header because of its length.",
    ),
    _malformed(
        3203, "ErrorGetAADDomainUrlMalformatted", "The sign-in URL in the header of the vault's 401 lacks its host or tenant."
    ),
    out_of_memory_row(3204, "ErrorGetAADDomainUrlOutOfMemoryAlloc", Layer.CHALLENGE, "storing the name of the sign-in host"),
    out_of_memory_row(3205, "ErrorGetAADTenantIdOutOfMemoryAlloc", Layer.CHALLENGE, "storing the tenant id"),
    _malformed(
        3206,
        "ErrorGetAKVResourceUrlStartPosition",
        "The header of the vault's 401 has no `resource=\"`, which names the service that the token is for.",
        _LITERAL,
    ),
    _malformed(
        3207,
        "ErrorGetAKVResourceUrlStopPosition",
        "The header of the vault's 401 has no closing quote after the resource.",
        "A proxy or gateway cut the header because of its length.",
    ),
    out_of_memory_row(
        3208, "ErrorGetAKVResourceUrlOutOfMemoryAlloc", Layer.CHALLENGE, "storing the resource for the token request"
    ),
)

# Codes 3300 to 3308: the sign-in at Entra ID and its token.


def _unreadable(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.PROTOCOL, Owner.NETWORK, layer=Layer.TOKEN).saying(
        summary=f"{summary} The secret may be valid, but SQL Server cannot open a session with the vault.",
        effect=WITHOUT_THE_KEY,
        causes=(*causes, SERVICE_DEFECT),
        actions=(FIND_REASON, _FIND_DEVICE, FIND_INTERCEPTION, DO_NOT_RESTART, SUPPORT),
    )


TOKEN_STEP: tuple[ConnectorError, ...] = (
    out_of_memory_row(3300, "ErrorGetTokenOutOfMemoryConcatPath", Layer.TOKEN, "building the URL of the sign-in request"),
    out_of_memory_row(
        3301,
        "ErrorGetTokenOutOfMemoryConcatBody",
        Layer.TOKEN,
        "building the body of the sign-in request (in Microsoft's list: of the response)",
    ),
    out_of_memory_row(
        3302, "ErrorGetTokenOutOfMemoryConvertResponseString", Layer.TOKEN, "converting Entra ID's response to text"
    ),
    ConnectorError(
        3303, "ErrorGetTokenBadCredentials", Category.IDENTITY, Owner.IDENTITY, layer=Layer.TOKEN, fallback=3010
    ).saying(
        summary="Entra ID refused the credential (401), or a device on the route responded in its place. SQL Server gets no token and no key.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "The client secret has expired (AADSTS7000222). This is the usual cause.",
            "SQL Server's own credential still has an old secret, if a probe succeeds.",
            "The string is wrong (AADSTS7000215): the secret's id instead of its value, or hyphens in the client id.",
            "The certificate has expired or is not registered with the application (AADSTS700027).",
            "The clock is wrong by minutes, which invalidates certificate sign-in (AADSTS700024).",
        ),
        actions=(
            IF_PROBE_SUCCEEDS,
            NEW_SECRET,
            TEST_SECRET,
            *WRITE_SECRET,
            DO_NOT_RESTART,
            SET_ONLINE,
        ),
    ),
    ConnectorError(3304, "ErrorGetTokenFailedToGetToken", Category.IDENTITY, Owner.IDENTITY, layer=Layer.TOKEN).saying(
        summary=(
            "The credentials are right, but there is no valid token. A probe reports this for managed and workload identities, if the "
            "identity endpoint of the host provided none. Without a token, SQL Server cannot reach its keys."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "The machine has no managed identity, or SQL Server has no primary managed identity.",
            "The probe runs on another host. Only the host that owns the identity can use it.",
            "A firewall, proxy or pod network policy blocks the identity endpoint (169.254.169.254).",
            "Workload identity: the projected token file or its environment variables are missing in the pod.",
            "SQL Server: a managed identity needs the connector of November 2024, and 2022 CU17 on an Azure VM or 2025 on Azure Arc.",
        ),
        actions=(
            for_dba("Run `ekm-exporter probe TARGET` on the host that owns the identity."),
            "Azure VM: check that one is assigned: `az vm identity show --resource-group GROUP --name VM`.",
            "Azure VM: exempt 169.254.169.254 from every proxy and network policy.",
            "Azure Arc: check that the agent is connected: `azcmagent show`. Its endpoint is `localhost:40342`.",
            DO_NOT_RESTART,
        ),
    ),
    ConnectorError(3305, "ErrorGetTokenRejected", Category.IDENTITY, Owner.IDENTITY, layer=Layer.TOKEN, fallback=3010).saying(
        summary="Entra ID issued a token, but the vault rejects its tenant or audience. The secret is valid, but SQL Server gets no key.",
        effect=WITHOUT_THE_KEY,
        causes=(
            "Vault and application are in different tenants (AKV10032), often after a subscription move.",
            "The token is for another service (AKV10022). A vault, a Managed HSM and each national cloud need different ones.",
        ),
        actions=USE_ITS_TENANT,
    ),
    _unreadable(
        3306,
        "ErrorGetTokenNotFound",
        "Entra ID's response is JSON but contains no `access_token`.",
        REWRITTEN,
        "The sign-in host is not Entra ID: check `authority_host` of the module.",
    ),
    _unreadable(
        3307,
        "ErrorGetTokenJsonParser",
        "The sign-in host reported success, but its response is not JSON.",
        "A proxy returned its login or block page with status 200.",
        REWRITTEN,
    ),
    _unreadable(
        3308,
        "ErrorGetTokenExtractToken",
        "The `access_token` in Entra ID's response is unusable: empty or with invalid characters.",
        "The response was altered in transit, for example by a filter that removes secrets.",
        "The sign-in host is a test server that returns a dummy value.",
    ),
)

# Codes 3400 to 3412: reading the key from the vault's response.

_SHOW_KEY = for_vault("Show the key as the vault stores it: `az keyvault key show --vault-name VAULT --name KEY`.")
_OUTCOME = "SQL Server cannot use the key, although the key itself may be intact."


def _no_answer(code: int, symbol: str, summary: str, cause: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.PROTOCOL, Owner.NETWORK, layer=Layer.GET_KEY).saying(
        summary=f"{summary} {_OUTCOME}",
        effect=WITHOUT_THE_KEY,
        causes=(cause, REWRITTEN, NOT_A_VAULT, SERVICE_DEFECT),
        actions=(FIND_REASON, _FIND_DEVICE, FIND_INTERCEPTION, _SHOW_KEY, DO_NOT_RESTART),
    )


def _incomplete(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.PROTOCOL, Owner.VAULT, layer=Layer.GET_KEY).saying(
        summary=f"{summary} {_OUTCOME}",
        effect=WITHOUT_THE_KEY,
        causes=(*causes, SERVICE_DEFECT, NOT_A_VAULT),
        actions=(FIND_REASON, _FIND_DEVICE, _SHOW_KEY, DO_NOT_RESTART, SUPPORT),
    )


GET_KEY: tuple[ConnectorError, ...] = (
    out_of_memory_row(
        3400, "ErrorGetKeyByNameOutOfMemoryConvertResponseString", Layer.GET_KEY, "converting the description of a key to text"
    ),
    out_of_memory_row(3401, "ErrorGetKeyByNameOutOfMemoryConcatPath", Layer.GET_KEY, "building the URL of a key"),
    out_of_memory_row(
        3402, "ErrorGetKeyByNameOutOfMemoryConcatHeader", Layer.GET_KEY, "building the header of a request for a key"
    ),
    _no_answer(
        3403,
        "ErrorGetKeyByNameNoResponse",
        "The vault reported success for the key but sent no data.",
        "A proxy, scanner or filter emptied the response.",
    ),
    _no_answer(
        3404,
        "ErrorGetKeyByNameJsonParser",
        "The response to the request for the key is not JSON.",
        "A proxy returned its login or block page with status 200.",
    ),
    _incomplete(
        3405,
        "ErrorGetKeyByNameExtractKeyNode",
        "The response is JSON but contains no `key` object.",
        "The URL leads to a secret, a certificate, or an API gateway with another response format.",
    ),
    _incomplete(
        3406,
        "ErrorGetKeyByNameExtractKeyId",
        "The key in the response lacks `kid`, its identifier.",
        "A gateway removes fields from the response.",
    ),
    _incomplete(
        3407,
        "ErrorGetKeyByNameExtractKeyType",
        "The key in the response lacks `kty`, its type.",
        "A gateway removes fields from the response.",
    ),
    _incomplete(
        3408,
        "ErrorGetKeyByNameExtractKeyN",
        "The key in the response has no modulus (`n`). Every RSA key has one.",
        "In SQL Server: the key has another type (EC, oct), which the connector does not support.",
    ),
    _incomplete(
        3409,
        "ErrorGetKeyByNameBase64DecodeN",
        "The modulus (`n`) of the key is not valid Base64.",
        "The response was altered or truncated in transit.",
    ),
    _incomplete(
        3410,
        "ErrorGetKeyByNameExtractKeyE",
        "The key in the response has no public exponent (`e`). Every RSA key has one.",
        "A gateway removes fields from the response.",
    ),
    _incomplete(
        3411,
        "ErrorGetKeyByNameBase64DecodeE",
        "The public exponent (`e`) of the key is not valid Base64.",
        "The response was altered or truncated in transit.",
    ),
    _incomplete(
        3412,
        "ErrorGetKeyByNameExtractKeyUri",
        "The identifier of the key (`kid`) is not the URL of a key version, so no wrap request can be built.",
        "A gateway rewrites URLs in the response.",
    ),
)

# Codes 3600 to 3609 (wrap) and 3700 to 3709 (unwrap): one exchange each.

_STAKES = {
    Layer.WRAP_KEY: "SQL Server cannot encrypt or rotate with this key.",
    Layer.UNWRAP_KEY: "SQL Server cannot decrypt its database keys.",
}
_EFFECTS = {Layer.WRAP_KEY: WITHOUT_WRAP, Layer.UNWRAP_KEY: WITHOUT_THE_KEY}
_CAREFUL = {
    Layer.WRAP_KEY: for_dba("Postpone rotation and new encrypted databases until a probe succeeds."),
    Layer.UNWRAP_KEY: DO_NOT_RESTART,
}


def _unusable(code: int, symbol: str, layer: Layer, owner: Owner, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.PROTOCOL, owner, layer=layer).saying(
        summary=f"{summary} {_STAKES[layer]}",
        effect=_EFFECTS[layer],
        causes=(*causes, SERVICE_DEFECT),
        actions=(FIND_REASON, _FIND_DEVICE, FIND_INTERCEPTION, _CAREFUL[layer], SUPPORT),
    )


def _not_encoded(code: int, symbol: str, layer: Layer, what: str) -> ConnectorError:
    return ConnectorError(code, symbol, Category.HOST, Owner.DBA, layer=layer).saying(
        summary=f"The connector could not encode {what}. No request was sent to the vault. {_STAKES[layer]}",
        effect=_EFFECTS[layer],
        causes=(
            "The SQL Server process is low on memory, or Windows cryptographic functions fail on this host.",
            "SQL Server passed an empty or damaged key.",
        ),
        actions=(EVENT_LOG, "Repeat the statement. If it fails on this host only, compare builds with a working host."),
        unobservable_because="The connector encodes before anything is sent. The exporter uses its own encoder.",
    )


def _of_the_operation(layer: Layer, first: int, symbol: str, *, request: str, given: str) -> tuple[ConnectorError, ...]:
    """Build the codes of one operation inside SQL Server; `request` is its name with an article, `given` the key that is sent."""
    encoded = f"an encoded {request.rsplit(maxsplit=1)[-1]}"
    return (
        out_of_memory_row(first, f"{symbol}OutOfMemoryConvertResponseString", layer, f"converting {request} response to text"),
        out_of_memory_row(first + 1, f"{symbol}OutOfMemoryConcatPath", layer, f"building the URL of {request} request"),
        out_of_memory_row(first + 2, f"{symbol}OutOfMemoryConcatHeader", layer, f"building the header of {request} request"),
        out_of_memory_row(first + 3, f"{symbol}OutOfMemoryConcatBody", layer, f"building the body of {request} request"),
        out_of_memory_row(first + 4, f"{symbol}OutOfMemoryConvertEncodedBody", layer, f"converting {encoded} request"),
        _not_encoded(first + 5, f"{symbol}Base64EncodeKey", layer, given),
    )


def _response_codes(layer: Layer, first: int, symbol: str, word: str) -> tuple[ConnectorError, ...]:
    """Build the codes of the responses to one operation."""
    decoded = f"The `value` in the vault's {word} response is not valid Base64."
    page = f"The {word} response reports success but is not JSON."
    absent = f"The vault's {word} response has no `value`, the {word}ped key."
    empty = f"The {word} response reports success but is empty."
    altered, login = (
        "The response was altered or truncated in transit.",
        "A proxy returned its login or block page with status 200.",
    )
    gateway = "A gateway removes fields from the response, or sends its own format."
    emptied = "A proxy, scanner or filter emptied the response."
    return (
        _unusable(first, f"{symbol}Base64DecodeValue", layer, Owner.VAULT, decoded, altered),
        _unusable(first + 1, f"{symbol}JsonParser", layer, Owner.NETWORK, page, login, REWRITTEN),
        _unusable(first + 2, f"{symbol}ExtractValue", layer, Owner.VAULT, absent, gateway, NOT_A_VAULT),
        _unusable(first + 3, f"{symbol}NoResponse", layer, Owner.NETWORK, empty, emptied, NOT_A_VAULT),
    )


WRAP_UNWRAP: tuple[ConnectorError, ...] = (
    *_of_the_operation(Layer.WRAP_KEY, 3600, "ErrorWrapKey", request="a wrap", given="the key to be wrapped"),
    *_response_codes(Layer.WRAP_KEY, 3606, "ErrorWrapKey", "wrap"),
    *_of_the_operation(Layer.UNWRAP_KEY, 3700, "ErrorUnwrapKey", request="an unwrap", given="the wrapped key"),
    *_response_codes(Layer.UNWRAP_KEY, 3706, "ErrorUnwrapKey", "unwrap"),
)

# Codes 3800 to 3822: the sign-in request from a secret, PFX, PEM or old key.

_NO_CERTIFICATES = (
    "It occurs inside the connector before anything is sent. No examined build signs in with a certificate. The exporter's own "
    "certificate faults are 3809 to 3819."
)


def _on_the_host(code: int, symbol: str, doing: str, *causes: str, why: str = _NO_CERTIFICATES) -> ConnectorError:
    """Build the row of a step that runs on the SQL Server host alone."""
    return ConnectorError(code, symbol, Category.HOST, Owner.DBA, layer=Layer.CREDENTIAL).saying(
        summary=f"The connector failed {doing}. It sent no sign-in request, so SQL Server gets no token and no key.",
        causes=(
            *causes,
            "Windows cryptographic services fail for the SQL Server service account, or memory is low.",
            "The installation of the connector is damaged or mixes two builds.",
        ),
        actions=(
            EVENT_LOG,
            "Make sure the SQL credential holds the client id and the client secret, as the connector documents.",
            "If the error persists, reinstall the connector after `ekm-exporter probe TARGET` succeeds.",
        ),
        unobservable_because=why,
    )


def _certificate(code: int, symbol: str, summary: str, causes: tuple[str, ...], *actions: str) -> ConnectorError:
    """Build the row of a fault in the configured certificate."""
    return ConnectorError(code, symbol, Category.INPUT, Owner.EXPORTER, layer=Layer.CREDENTIAL).saying(
        summary=f"{summary} From a probe, this is the exporter's own credential. From SQL Server, it is the connector's.",
        effect=IF_SQL_SERVER_SHOWS_IT,
        causes=causes,
        actions=(*actions, "Then repeat the probe: `ekm-exporter probe TARGET`."),
    )


_LIST_PFX = "List its contents: `openssl pkcs12 -in FILE -info -nokeys`."
_LIST_PEM = "List its blocks: `grep -- '-----BEGIN' FILE`."
_NOT_RSA = "The certificate was issued for an elliptic-curve (EC) key."
_TOO_SHORT = ("The certificate's RSA key is too short for the signature that Entra ID requires.",)
_RSA_ONLY = "Add a certificate with an RSA key of at least 2048 bits to the application, and configure it here."

CREDENTIAL: tuple[ConnectorError, ...] = (
    _on_the_host(
        3800,
        "ErrorSecretAuthParamsGetRequestBody",
        "to build a sign-in request from client id and client secret",
        "The credential string has characters that cannot be converted, for example pasted from a document.",
        why="It occurs inside the connector before anything is sent. The exporter builds its own request.",
    ),
    _on_the_host(3801, "ErrorJWTTokenCreateHeader", "to write the header of a signed assertion"),
    _on_the_host(3802, "ErrorJWTTokenCreatePayloadGUID", "to generate the random id of a signed assertion"),
    _on_the_host(3803, "ErrorJWTTokenCreatePayload", "to write the claims of a signed assertion"),
    _on_the_host(3804, "ErrorJWTTokenCreateSignature", "to sign an assertion"),
    _on_the_host(
        3805,
        "ErrorJWTTokenSignatureHashAlg",
        "to get SHA-256 from Windows for an assertion",
        "A cryptography policy of the host disables SHA-256.",
    ),
    _on_the_host(3806, "ErrorJWTTokenSignatureHash", "to hash an assertion with SHA-256"),
    _on_the_host(
        3807,
        "ErrorJWTTokenSignatureSignHash",
        "to sign the hash of an assertion with the private key",
        "The service account has no permission to use the private key.",
    ),
    _on_the_host(3808, "ErrorJWTTokenCreateToken", "to assemble a signed assertion"),
    _certificate(
        3809,
        "ErrorPfxCertAuthParamsImportPfx",
        "The PFX file could not be opened.",
        (
            "The password is wrong, or its file contains an extra character.",
            "The file is damaged, incomplete, or not a PFX (for example a PEM file).",
        ),
        _LIST_PFX,
        "Correct `certificate_file` or `password_file` of the credential.",
    ),
    _certificate(
        3810,
        "ErrorPfxCertAuthParamsGetThumbprint",
        "The PFX file contains no certificate, so there is no thumbprint to send.",
        ("The export contains only the private key.", "The file contains only CA certificates."),
        _LIST_PFX,
        "Export the certificate and its key together.",
    ),
    _certificate(
        3811,
        "ErrorPfxCertAuthParamsGetPrivateKey",
        "The PFX file contains a certificate but no private key.",
        ("The export left out the private key, or the key is marked as not exportable.",),
        _LIST_PFX,
        "Export it again with the private key, or issue a new certificate with an exportable key.",
    ),
    _certificate(
        3812,
        "ErrorPfxCertAuthParamsSignAlg",
        "The private key in the PFX file is not an RSA key. Entra ID requires RSA.",
        (_NOT_RSA,),
        _RSA_ONLY,
    ),
    _certificate(
        3813,
        "ErrorPfxCertAuthParamsImportForSign",
        "The private key in the PFX file could not be loaded for signing.",
        ("The key's encryption or parameters are not supported.", "The key does not belong to the certificate in the file."),
        _LIST_PFX,
        "Export it again with AES-256 and SHA-256.",
    ),
    _certificate(
        3814,
        "ErrorPfxCertAuthParamsCreateRequestBody",
        "The PFX file is readable, but no sign-in request could be built from it.",
        _TOO_SHORT,
        _RSA_ONLY,
    ),
    _certificate(
        3815,
        "ErrorPEMCertAuthParamsGetThumbprint",
        "The PEM file has no readable certificate, so there is no thumbprint to send.",
        ("The file contains only the key.", "The certificate block is damaged, usually by copying."),
        _LIST_PEM,
        "Put the key and the certificate into one file, one block after the other.",
    ),
    _certificate(
        3816,
        "ErrorPEMCertAuthParamsGetPrivateKey",
        "The PEM file has no readable private key.",
        ("The file contains only the certificate.", "The key is encrypted, and `password_file` is missing or wrong."),
        _LIST_PEM,
        "Add the key block, or set `password_file` of the credential.",
    ),
    _certificate(
        3817,
        "ErrorPEMCertAuthParamsSignAlg",
        "The private key in the PEM file is not an RSA key. Entra ID requires RSA.",
        (_NOT_RSA,),
        _RSA_ONLY,
    ),
    _certificate(
        3818,
        "ErrorPEMCertAuthParamsImportForSign",
        "The private key in the PEM file could not be loaded for signing.",
        (
            "The key block is damaged, or its format is not supported.",
            "The key does not belong to the first certificate in the file. The leaf certificate must come first.",
        ),
        "Check the key: `openssl rsa -in FILE -check -noout`.",
        "Convert it to PKCS #8: `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`.",
    ),
    _certificate(
        3819,
        "ErrorPEMCertAuthParamsCreateRequestBody",
        "The PEM file is readable, but no sign-in request could be built from it.",
        _TOO_SHORT,
        _RSA_ONLY,
    ),
    _on_the_host(3820, "ErrorLegacyPrivateKeyAuthParamsSignAlg", "to find the RSA algorithm for a private key in the old format"),
    _on_the_host(3821, "ErrorLegacyPrivateKeyAuthParamsImportForSign", "to load a private key in the old format"),
    _on_the_host(
        3822, "ErrorLegacyPrivateKeyAuthParamsCreateRequestBody", "to build a sign-in request from an old-format private key"
    ),
)
