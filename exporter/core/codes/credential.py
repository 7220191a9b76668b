"""Codes 3800 to 3822: making the sign-in request from a secret, a PFX, a PEM or an old private key."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import EVENT_LOG

_NO_CERTIFICATES = (
    "It arises inside the connector, before anything is sent, and the builds that could be examined do not even sign in with a "
    "certificate; the exporter's own certificate faults are 3809 to 3819."
)


def _inside(code: int, symbol: str, doing: str, *causes: str, why: str = _NO_CERTIFICATES) -> ConnectorError:
    """A step that the connector does by itself on the SQL Server host."""
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.CREDENTIAL,
        category=Category.HOST,
        owner=Owner.DBA,
        summary=f"The connector failed {doing}. No sign-in was sent, so SQL Server gets no token and no key.",
        causes=(
            *causes,
            "Windows' cryptographic services do not work for the SQL Server service account, or memory is short.",
            "A damaged or mixed installation of the connector.",
        ),
        actions=(
            EVENT_LOG,
            "Make sure the SQL credential holds client id and client secret, the form that is documented for the connector.",
            "If it goes on, reinstall the connector, once `ekm-exporter probe TARGET` succeeds.",
        ),
        unobservable_because=why,
    )


def _certificate(code: int, symbol: str, summary: str, causes: tuple[str, ...], *actions: str) -> ConnectorError:
    """A fault of the certificate that the exporter's own configuration names."""
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.CREDENTIAL,
        category=Category.INPUT,
        owner=Owner.EXPORTER,
        summary=f"{summary} This concerns the exporter's own credential; it says nothing about SQL Server.",
        causes=causes,
        actions=(*actions, "Then try it: `ekm-exporter probe TARGET`."),
    )


_PFX_LOOK = "Look into it: `openssl pkcs12 -in FILE -info -nokeys`."
_PEM_LOOK = "List its parts: `grep -- '-----BEGIN' FILE`."
_NOT_RSA = "The certificate was issued for an elliptic-curve key."
_TOO_SHORT = ("The certificate's RSA key is too short for the signature that Entra ID asks for.",)
_RSA_ONLY = "Register a certificate with an RSA key of 2048 bits or more at the application, and use that."

CREDENTIAL: tuple[ConnectorError, ...] = (
    _inside(
        3800,
        "ErrorSecretAuthParamsGetRequestBody",
        "to put client id and client secret into a sign-in request",
        "The credential string has characters that do not survive the conversion, pasted from a document for example.",
        why="It arises inside the connector, before anything is sent; the exporter builds its own request.",
    ),
    _inside(3801, "ErrorJWTTokenCreateHeader", "to write the header of a signed assertion"),
    _inside(3802, "ErrorJWTTokenCreatePayloadGUID", "to draw the random id of a signed assertion"),
    _inside(3803, "ErrorJWTTokenCreatePayload", "to write the claims of a signed assertion"),
    _inside(3804, "ErrorJWTTokenCreateSignature", "to sign an assertion"),
    _inside(
        3805,
        "ErrorJWTTokenSignatureHashAlg",
        "to get SHA-256 from Windows for an assertion",
        "A cryptography policy of the host leaves SHA-256 out.",
    ),
    _inside(3806, "ErrorJWTTokenSignatureHash", "to hash an assertion with SHA-256"),
    _inside(
        3807,
        "ErrorJWTTokenSignatureSignHash",
        "to sign the hash of an assertion with the private key",
        "The service account may not use the private key.",
    ),
    _inside(3808, "ErrorJWTTokenCreateToken", "to put the parts of a signed assertion together"),
    _certificate(
        3809,
        "ErrorPfxCertAuthParamsImportPfx",
        "The PFX file could not be opened.",
        (
            "The password is wrong, or its file has a stray character.",
            "The file is damaged, cut, or no PFX at all (a PEM under the wrong name).",
        ),
        _PFX_LOOK,
        "Correct `certificate_file` or `password_file` of the credential.",
    ),
    _certificate(
        3810,
        "ErrorPfxCertAuthParamsGetThumbprint",
        "The PFX file has no certificate whose thumbprint could be sent.",
        ("The export took the key alone.", "It holds only the certificates of CAs."),
        _PFX_LOOK,
        "Export it again, certificate and key together.",
    ),
    _certificate(
        3811,
        "ErrorPfxCertAuthParamsGetPrivateKey",
        "The PFX file has a certificate but no private key to sign with.",
        ("It was exported without the private key, or the key was marked as not exportable.",),
        _PFX_LOOK,
        "Export it again with the private key, or issue a new certificate whose key may leave the store.",
    ),
    _certificate(
        3812,
        "ErrorPfxCertAuthParamsSignAlg",
        "The private key in the PFX file is no RSA key, and Entra ID sign-in needs one.",
        (_NOT_RSA,),
        _RSA_ONLY,
    ),
    _certificate(
        3813,
        "ErrorPfxCertAuthParamsImportForSign",
        "The private key in the PFX file could not be loaded for signing.",
        ("Its encryption or its parameters are not supported here.", "It does not belong to the certificate beside it."),
        _PFX_LOOK,
        "Export it again with AES-256 and SHA-256.",
    ),
    _certificate(
        3814,
        "ErrorPfxCertAuthParamsCreateRequestBody",
        "With a readable PFX file, the sign-in request could still not be made.",
        _TOO_SHORT,
        _RSA_ONLY,
    ),
    _certificate(
        3815,
        "ErrorPEMCertAuthParamsGetThumbprint",
        "The PEM file has no readable certificate, so no thumbprint can be sent.",
        ("The file holds only the key.", "The certificate block is damaged, in most cases by copying."),
        _PEM_LOOK,
        "Put key and certificate into one file, one block after the other.",
    ),
    _certificate(
        3816,
        "ErrorPEMCertAuthParamsGetPrivateKey",
        "The PEM file has no private key that could be read.",
        ("The file holds only the certificate.", "The key is encrypted, and `password_file` is missing or wrong."),
        _PEM_LOOK,
        "Add the key block, or set `password_file` of the credential.",
    ),
    _certificate(
        3817,
        "ErrorPEMCertAuthParamsSignAlg",
        "The private key in the PEM file is no RSA key, and Entra ID sign-in needs one.",
        (_NOT_RSA,),
        _RSA_ONLY,
    ),
    _certificate(
        3818,
        "ErrorPEMCertAuthParamsImportForSign",
        "The private key in the PEM file could not be loaded for signing.",
        (
            "The key block is damaged, or in a form that is not supported here.",
            "It does not belong to the certificate beside it.",
        ),
        "Check the key: `openssl rsa -in FILE -check -noout`.",
        "Write it anew in PKCS #8: `openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW`.",
    ),
    _certificate(
        3819,
        "ErrorPEMCertAuthParamsCreateRequestBody",
        "With a readable PEM file, the sign-in request could still not be made.",
        _TOO_SHORT,
        _RSA_ONLY,
    ),
    _inside(3820, "ErrorLegacyPrivateKeyAuthParamsSignAlg", "to find the RSA algorithm for a private key in the old format"),
    _inside(3821, "ErrorLegacyPrivateKeyAuthParamsImportForSign", "to load a private key in the old format"),
    _inside(3822, "ErrorLegacyPrivateKeyAuthParamsCreateRequestBody", "to make a sign-in request from an old-format private key"),
)
