"""Codes 3800 to 3822: the sign-in request from a secret, PFX, PEM or old key."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG

_NO_CERTIFICATES = (
    "It occurs inside the connector before anything is sent. No examined build signs in with a certificate. The exporter's own "
    "certificate faults are 3809 to 3819."
)


def _inside(code: int, symbol: str, doing: str, *causes: str, why: str = _NO_CERTIFICATES) -> ConnectorError:
    """Build the row of a step that runs on the SQL Server host alone."""
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.CREDENTIAL,
        category=Category.HOST,
        owner=Owner.DBA,
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
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.CREDENTIAL,
        category=Category.INPUT,
        owner=Owner.EXPORTER,
        summary=f"{summary} This is the exporter's own credential; SQL Server is not affected.",
        causes=causes,
        actions=(*actions, "Then repeat the probe: `ekm-exporter probe TARGET`."),
    )


_LIST_PFX = "List its contents: `openssl pkcs12 -in FILE -info -nokeys`."
_LIST_PEM = "List its blocks: `grep -- '-----BEGIN' FILE`."
_NOT_RSA = "The certificate was issued for an elliptic-curve (EC) key."
_TOO_SHORT = ("The certificate's RSA key is too short for the signature that Entra ID requires.",)
_RSA_ONLY = "Add a certificate with an RSA key of at least 2048 bits to the application, and configure it here."

CREDENTIAL: tuple[ConnectorError, ...] = (
    _inside(
        3800,
        "ErrorSecretAuthParamsGetRequestBody",
        "to build a sign-in request from client id and client secret",
        "The credential string has characters that cannot be converted, for example pasted from a document.",
        why="It occurs inside the connector before anything is sent. The exporter builds its own request.",
    ),
    _inside(3801, "ErrorJWTTokenCreateHeader", "to write the header of a signed assertion"),
    _inside(3802, "ErrorJWTTokenCreatePayloadGUID", "to generate the random id of a signed assertion"),
    _inside(3803, "ErrorJWTTokenCreatePayload", "to write the claims of a signed assertion"),
    _inside(3804, "ErrorJWTTokenCreateSignature", "to sign an assertion"),
    _inside(
        3805,
        "ErrorJWTTokenSignatureHashAlg",
        "to get SHA-256 from Windows for an assertion",
        "A cryptography policy of the host disables SHA-256.",
    ),
    _inside(3806, "ErrorJWTTokenSignatureHash", "to hash an assertion with SHA-256"),
    _inside(
        3807,
        "ErrorJWTTokenSignatureSignHash",
        "to sign the hash of an assertion with the private key",
        "The service account has no permission to use the private key.",
    ),
    _inside(3808, "ErrorJWTTokenCreateToken", "to assemble a signed assertion"),
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
    _inside(3820, "ErrorLegacyPrivateKeyAuthParamsSignAlg", "to find the RSA algorithm for a private key in the old format"),
    _inside(3821, "ErrorLegacyPrivateKeyAuthParamsImportForSign", "to load a private key in the old format"),
    _inside(
        3822, "ErrorLegacyPrivateKeyAuthParamsCreateRequestBody", "to build a sign-in request from an old-format private key"
    ),
)
