"""Every check of the doctor, in the order in which it is told: one literal table.

For: names (public: renaming one breaks users), titles, questions, codes, and which check makes which other one meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.model import Check, FailureMoment

_ROAD = (
    Check(
        name="proxy_vault",
        title="Proxy to the vault",
        question="Which proxy is in force for the vault, and does it let the connection through?",
        code=3012,
    ),
    Check(
        name="proxy_entra",
        title="Proxy to Entra",
        question="Which proxy is in force for Entra, and does it let the connection through?",
        code=3012,
    ),
    Check(
        name="dns_vault",
        title="Name of the vault",
        question="Does this host find an address for the vault's name?",
        code=3900,
        needs=("proxy_vault",),
    ),
    Check(
        name="dns_entra",
        title="Name of Entra",
        question="Does this host find an address for the name of the Entra host?",
        code=3900,
        needs=("proxy_entra",),
    ),
    Check(
        name="tcp_vault",
        title="Port 443 of the vault",
        question="Can a TCP connection to the vault be made?",
        code=3008,
        needs=("dns_vault",),
    ),
    Check(
        name="tcp_entra",
        title="Port 443 of Entra",
        question="Can a TCP connection to Entra be made?",
        code=3008,
        needs=("dns_entra",),
    ),
    Check(
        name="issuer_vault",
        title="Issuer seen for the vault",
        question="Who issued the certificate shown for the vault: Azure's authorities, or somebody who looks into TLS on the way?",
        code=3008,
        needs=("tcp_vault",),
    ),
    Check(
        name="issuer_entra",
        title="Issuer seen for Entra",
        question="Who issued the certificate shown for Entra: Azure's authorities, or somebody who looks into TLS on the way?",
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
        question="Do the hosts that the certificates name for revocation (CRL, OCSP) answer on port 80? Windows asks them.",
    ),
    Check(
        name="path",
        title="Path to the vault",
        question="Is the vault reached over the path that the module expects, private or public?",
        needs=("tls_vault",),
    ),
    Check(
        name="clock",
        title="Clock",
        question="How far is this host's clock from the services' own? Beyond five minutes signed assertions are refused.",
        code=3303,
    ),
)
_SIGN_IN = (
    Check(
        name="challenge",
        title="Challenge of the vault",
        question="Does the vault's answer to a request without a token read as the connector's literal parser needs it?",
        code=3017,
        needs=("tls_vault",),
    ),
    Check(
        name="tenant",
        title="Tenant",
        question="Is the tenant that the vault's challenge names the credential's own?",
        code=3128,
        needs=("challenge",),
    ),
    Check(name="secret", title="Secret, as read here", question="Can the exporter read its copy of the secret?"),
    Check(
        name="credential_string",
        title="Credential string",
        question="Does the SECRET of the credential follow the rules: 32 hex digits, no hyphens in them, a secret, at most 120 characters?",
        code=2050,
        needs=("secret",),
    ),
    Check(
        name="token",
        title="Token",
        question="Does Entra give a token for the credential?",
        code=3303,
        needs=("challenge", "tenant", "credential_string", "tls_entra"),
    ),
    Check(
        name="audience",
        title="Audience of the token",
        question="Is the token for this vault's service, tenant and application, and does the vault take it?",
        code=3305,
        needs=("token",),
    ),
    Check(
        name="firewall",
        title="Firewall of the vault",
        question="Does the vault let requests in from this network?",
        code=3077,
        needs=("audience",),
        moment=FailureMoment.KEY,
    ),
    Check(
        name="vault_answers",
        title="Answers of the vault",
        question="Are the vault's answers neither throttled, nor errors, nor cut, nor unreadable?",
        code=3013,
        needs=("audience",),
        moment=FailureMoment.KEY,
    ),
)
_KEY = (
    Check(
        name="key_name",
        title="Name of the key",
        question="Has the key's name letters, digits and hyphens alone, and at most 26 of them?",
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
        question="Is the key there, in the version that is pinned?",
        code=3076,
        moment=FailureMoment.KEY,
        needs=("key_name", "permission_get"),
    ),
    Check(
        name="key_type",
        title="Type and size of the key",
        question="Is it an RSA or RSA-HSM key of 2048 or 3072 bits?",
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
        question="Is today within the key's nbf and exp? Outside of them it unwraps and does not wrap, which is a warning.",
        code=3077,
        moment=FailureMoment.WRAP,
        needs=("key_version",),
    ),
    Check(
        name="key_ops",
        title="Operations of the key",
        question="Do the key's own key_ops allow wrapKey and unwrapKey?",
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
        question="May the identity list keys? The connector does without; Microsoft's older pages ask for it. A warning at most.",
        moment=FailureMoment.KEY,
        needs=("audience",),
    ),
    Check(
        name="round_trip",
        title="Round trip",
        question="Do 32 random bytes that were wrapped come back equal?",
        code=1,
        moment=FailureMoment.UNWRAP,
        needs=("permission_unwrap",),
    ),
    Check(
        name="retained_versions",
        title="Retained versions",
        question="Can every key version that old backups need still be used?",
        code=3077,
        moment=FailureMoment.RESTORE,
    ),
    Check(
        name="newest_version",
        title="Newest version",
        question="Is the pinned version the newest one? If not, a rotation waits for SQL Server: a warning.",
        moment=FailureMoment.KEY,
        needs=("key_version",),
    ),
    Check(name="credential_expiry", title="End of the credential", question="When does the credential end?", code=3303),
    Check(
        name="key_expiry",
        title="End of the key",
        question="When does the key version end?",
        moment=FailureMoment.WRAP,
        needs=("key_version",),
    ),
)
_ON_THE_HOST = tuple(
    Check(name=name, title=title, question=question, code=code, moment=moment, on_host=True)
    for name, title, question, code, moment in (
        ("connector_version", "Version of the connector", "Which build of the connector's DLL does SQL Server load?", None, FailureMoment.LOAD),
        ("vc_runtime", "Visual C++ runtime", "Is the Visual C++ runtime there that the connector was built with (message 33027)?", None, FailureMoment.LOAD),
        ("ekm_enabled", "EKM provider enabled", "Is the option on, and the provider registered and enabled?", None, FailureMoment.LOAD),
        ("registry_rights", "Registry rights", "Has the service account Full Control over the connector's registry key?", 2058, FailureMoment.SETUP),
        ("cluster_checkpoint", "Cluster checkpoint", "In a failover cluster: does that registry key follow the instance?", 2058, FailureMoment.KEY),
        ("windows_tls", "TLS of Windows", "Does Windows offer TLS 1.2 to programs, and trust the authorities?", 3008, FailureMoment.SESSION),
        ("service_proxy", "Proxy of the service", "Which proxy has the account under which SQL Server runs?", 3008, FailureMoment.SESSION),
        ("sql_credential", "Credential in SQL Server", "Which vault does the credential name, and since when has it its secret?", 3303, FailureMoment.SESSION),
        ("event_log", "Event log of the connector", "What has the connector itself written?", None, FailureMoment.SESSION),
    )
)  # fmt: skip

CHECKS: tuple[Check, ...] = (*_ROAD, *_SIGN_IN, *_KEY, *_ON_THE_HOST)
BY_NAME: Mapping[str, Check] = MappingProxyType({check.name: check for check in CHECKS})
