"""The table of preflight checks, in the order of the report.

Names are public: renaming one breaks users.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.model import Check, FailureMoment

_ROUTE = (
    Check(
        name="proxy_vault",
        title="Proxy to the vault",
        question="Which proxy is used for the vault, and does it allow the connection?",
        code=3012,
    ),
    Check(
        name="proxy_entra",
        title="Proxy to Entra",
        question="Which proxy is used for Entra, and does it allow the connection?",
        code=3012,
    ),
    Check(
        name="dns_vault",
        title="Name of the vault",
        question="Does the host name of the vault resolve here?",
        code=3900,
        needs=("proxy_vault",),
    ),
    Check(
        name="dns_entra",
        title="Name of Entra",
        question="Does the host name of Entra resolve here?",
        code=3900,
        needs=("proxy_entra",),
    ),
    Check(
        name="tcp_vault",
        title="Port 443 of the vault",
        question="Does a TCP connection to the vault succeed?",
        code=3008,
        needs=("dns_vault",),
    ),
    Check(
        name="tcp_entra",
        title="Port 443 of Entra",
        question="Does a TCP connection to Entra succeed?",
        code=3008,
        needs=("dns_entra",),
    ),
    Check(
        name="issuer_vault",
        title="Issuer seen for the vault",
        question="Who issued the certificate of the vault: an authority of Azure, or a proxy that inspects TLS?",
        code=3008,
        needs=("tcp_vault",),
    ),
    Check(
        name="issuer_entra",
        title="Issuer seen for Entra",
        question="Who issued the certificate of Entra: an authority of Azure, or a proxy that inspects TLS?",
        code=3008,
        needs=("tcp_entra",),
    ),
    Check(
        name="tls_vault",
        title="TLS with the vault",
        question="Does the vault's certificate have a trusted chain, the right name and valid dates, and does the handshake succeed?",
        code=3008,
        needs=("issuer_vault",),
    ),
    Check(
        name="tls_entra",
        title="TLS with Entra",
        question="Does Entra's certificate have a trusted chain, the right name and valid dates, and does the handshake succeed?",
        code=3008,
        needs=("issuer_entra",),
    ),
    Check(
        name="revocation",
        title="Revocation, port 80",
        question="Do the revocation hosts of the certificates (CRL, OCSP) respond on port 80? Windows queries them.",
    ),
    Check(
        name="path",
        title="Path to the vault",
        question="Is the vault reached over the network path that the module expects, private or public?",
        needs=("tls_vault",),
    ),
    Check(
        name="clock",
        title="Clock",
        question="How far is this host's clock from that of the services? Beyond five minutes, signed assertions are refused.",
        code=3303,
    ),
)
_SIGN_IN = (
    Check(
        name="challenge",
        title="Challenge of the vault",
        question="Can the connector's literal parser read the vault's response to a request without a token?",
        code=3017,
        needs=("tls_vault",),
    ),
    Check(
        name="tenant",
        title="Tenant",
        question="Does the vault's challenge name the tenant of the credential?",
        code=3128,
        needs=("challenge",),
    ),
    Check(name="secret", title="Secret, as read here", question="Can the exporter read its own secret file?"),
    Check(
        name="credential_string",
        title="Credential string",
        question="Does SECRET follow the rules: 32 hex digits without hyphens, then the secret, at most 120 characters?",
        code=2050,
        needs=("secret",),
    ),
    Check(
        name="token",
        title="Token",
        question="Does Entra issue a token for the credential?",
        code=3303,
        needs=("challenge", "tenant", "credential_string", "tls_entra"),
    ),
    Check(
        name="audience",
        title="Audience of the token",
        question="Is the token for this vault's service, tenant and application, and does the vault accept it?",
        code=3305,
        needs=("token",),
    ),
    Check(
        name="firewall",
        title="Firewall of the vault",
        question="Does the vault accept requests from this network?",
        code=3077,
        needs=("audience",),
        moment=FailureMoment.KEY,
    ),
    Check(
        name="vault_answers",
        title="Responses of the vault",
        question="Are the vault's responses complete, readable, and free of errors and throttling?",
        code=3013,
        needs=("audience",),
        moment=FailureMoment.KEY,
    ),
)
_KEY = (
    Check(
        name="key_name",
        title="Name of the key",
        question="Does the key name have only letters, digits and hyphens, and at most 26 of them?",
        code=2049,
        moment=FailureMoment.SETUP,
    ),
    Check(
        name="permission_get",
        title="Permission get",
        question="May the identity read the key?",
        code=3077,
        moment=FailureMoment.KEY,
        needs=("audience",),
    ),
    Check(
        name="key_version",
        title="Key and version",
        question="Does the key exist in the pinned version?",
        code=3076,
        moment=FailureMoment.KEY,
        needs=("key_name", "permission_get"),
    ),
    Check(
        name="key_type",
        title="Type and size of the key",
        question="Is the key RSA or RSA-HSM with 2048 or 3072 bits?",
        code=3,
        moment=FailureMoment.SETUP,
        needs=("key_version",),
    ),
    Check(
        name="key_enabled",
        title="Key version enabled",
        question="Is the key version enabled?",
        code=3077,
        moment=FailureMoment.UNWRAP,
        needs=("key_version",),
    ),
    Check(
        name="key_dates",
        title="Dates of the key",
        question="Is today within the key's nbf and exp? Outside them, a key unwraps but does not wrap: a warning.",
        code=3077,
        moment=FailureMoment.WRAP,
        needs=("key_version",),
    ),
    Check(
        name="key_ops",
        title="Operations of the key",
        question="Does key_ops of the key allow wrapKey and unwrapKey?",
        code=3077,
        moment=FailureMoment.UNWRAP,
        needs=("key_type",),
    ),
    Check(
        name="permission_wrap",
        title="Permission wrapKey",
        question="May the identity wrap with the key?",
        code=3077,
        moment=FailureMoment.WRAP,
        needs=("key_type", "key_enabled"),
    ),
    Check(
        name="permission_unwrap",
        title="Permission unwrapKey",
        question="May the identity unwrap with the key?",
        code=3077,
        moment=FailureMoment.UNWRAP,
        needs=("key_type", "key_enabled"),
    ),
    Check(
        name="permission_list",
        title="Permission list",
        question="May the identity list keys? The connector does not need it; older Microsoft pages require it. At most a warning.",
        moment=FailureMoment.KEY,
        needs=("audience",),
    ),
    Check(
        name="round_trip",
        title="Round trip",
        question="Does unwrap return the 32 random bytes that were wrapped?",
        code=1,
        moment=FailureMoment.UNWRAP,
        needs=("permission_unwrap",),
    ),
    Check(
        name="retained_versions",
        title="Retained versions",
        question="Is every key version usable that old backups need?",
        code=3077,
        moment=FailureMoment.RESTORE,
    ),
    Check(
        name="newest_version",
        title="Newest version",
        question="Is the pinned version the newest one? If not, SQL Server still has to rotate: a warning.",
        moment=FailureMoment.KEY,
        needs=("key_version",),
    ),
    Check(
        name="thumbprint",
        title="Thumbprint of the key",
        question="Do pin, thumbprint and public key belong together? Only a contradiction is visible here; the query shows the rest.",
        moment=FailureMoment.KEY,
        needs=("key_type",),
    ),
    Check(name="credential_expiry", title="Credential expiry", question="When does the credential expire?", code=3303),
    Check(
        name="key_expiry",
        title="Key expiry",
        question="When does the key version expire?",
        moment=FailureMoment.WRAP,
        needs=("key_version",),
    ),
)
_ON_THE_HOST = tuple(
    Check(name=name, title=title, question=question, code=code, moment=moment, on_host=True)
    for name, title, question, code, moment in (
        ("connector_version", "Version of the connector", "Which build of the connector's DLL does SQL Server load?", None, FailureMoment.LOAD),
        ("vc_runtime", "Visual C++ runtime", "Is the Visual C++ runtime installed that the connector needs (message 33027)?", None, FailureMoment.LOAD),
        ("ekm_enabled", "EKM provider enabled", "Is the option enabled, and is the provider registered and enabled?", None, FailureMoment.LOAD),
        ("registry_rights", "Registry rights", "Does the service account have Full Control of the connector's registry key?", 2058, FailureMoment.SETUP),
        ("cluster_checkpoint", "Cluster checkpoint", "In a failover cluster: is there a registry checkpoint for that key?", 2058, FailureMoment.KEY),
        ("windows_tls", "TLS of Windows", "Does Windows enable TLS 1.2 for programs, and trust the authorities?", 3008, FailureMoment.SESSION),
        ("service_proxy", "Proxy of the service", "Which proxy does the service account of SQL Server use?", 3008, FailureMoment.SESSION),
        ("sql_credential", "Credential in SQL Server", "Which vault does the credential name, and when was its secret changed?", 3303, FailureMoment.SESSION),
        ("event_log", "Event log of the connector", "Which events did the connector write?", None, FailureMoment.SESSION),
    )
)  # fmt: skip

CHECKS: tuple[Check, ...] = (*_ROUTE, *_SIGN_IN, *_KEY, *_ON_THE_HOST)
BY_NAME: Mapping[str, Check] = MappingProxyType({check.name: check for check in CHECKS})
