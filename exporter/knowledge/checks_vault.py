"""`Check`, a row of the preflight checks, its results, and the rows that this side of the vault shows: network, sign-in and key.

Outcomes are public.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exporter.knowledge.code_row import FIND_OBJECT_ID, SYNCHRONISE
from exporter.knowledge.codes import BY_CODE

Actions = tuple[str, ...]  # sentences with `code` spans, as those of a reason


class CheckOutcome(StrEnum):
    """The outcome of a check. Only `fail` means a certain problem."""

    PASS = "pass"  # noqa: S105 - an outcome
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"  # a check before it failed
    UNKNOWN = "unknown"  # not visible from here


class FailureMoment(StrEnum):
    """When SQL Server would show a code; completes "SQL Server would show 3303"."""

    SESSION = "when it opens its session with the provider (message 33028)"
    KEY = "when it reads its key (message 33049)"
    WRAP = "when a database encryption key is created or re-encrypted"
    UNWRAP = "when it opens an encrypted database, starts a virtual log file (VLF), or makes or restores a backup"
    RESTORE = "when it restores a backup that needs that version"
    SETUP = "when its credential or key is created"
    LOAD = "when it loads the provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check; `code` is the classic code that SQL Server usually shows.

    `needs` are earlier checks: if one of them fails, this check is skipped. `looked_up` is what shows it on a SQL Server host with Windows.
    `actions` are for an outcome that has no reason, since the reason of a failed step has its own.
    """

    name: str
    title: str  # at most 27 characters, for a column
    question: str  # one sentence
    code: int | None = None
    moment: FailureMoment = FailureMoment.SESSION
    needs: tuple[str, ...] = ()
    looked_up: str = ""  # empty for a check that every host can make
    actions: Actions = ()
    of_certificate: Actions = ()  # instead, if the credential is a certificate
    on_hsm: Actions = ()  # instead, for a Managed HSM
    if_unknown: bool = False  # the actions also show what is unknown here
    effect: str = ""  # of a failure for which SQL Server shows no code

    @property
    def on_host(self) -> bool:
        """Whether only the SQL Server host shows it."""
        return bool(self.looked_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The result of one check.

    `code` is in the target's generation, None if SQL Server shows none. `detail` is one masked line. Lines of `fix` that
    start with two blanks are commands. `moment` is when SQL Server would show the code, None for the usual moment of the
    check.
    """

    check: str
    outcome: CheckOutcome
    code: int | None = None
    detail: str = ""
    fix: tuple[str, ...] = ()
    moment: FailureMoment | None = None


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run of all checks; `at` is the Unix time of its end."""

    at: float
    results: tuple[CheckResult, ...]

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """The failed checks, without skipped, unknown and warning ones."""
        return tuple(result for result in self.results if result.outcome is CheckOutcome.FAIL)


def _to_private(zone: str) -> Actions:
    return (
        "On the SQL Server host, resolve the name and compare the address with that of the private endpoint: `Resolve-DnsName VAULT.vault.azure.net`.",
        f"A private address requires that the zone privatelink.{zone}.azure.net is linked to this network.",
    )


def _both(name: str, title: str, question: str, *, code: int, needs: str = "", actions: Actions = ()) -> tuple[Check, Check]:
    """Return the rows for the vault and for Entra; `{}` in the texts is the host."""
    vault, entra = (
        Check(
            name=f"{name}_{host}",
            title=title.format(shown),
            question=question.format(shown),
            code=code,
            needs=(f"{needs}_{host}",) if needs else (),
            actions=actions,
        )
        for host, shown in (("vault", "the vault"), ("entra", "Entra"))
    )
    return vault, entra


NETWORK: tuple[Check, ...] = (
    *_both("proxy", "Proxy to {}", "Which proxy is used for {}, and does it allow the connection?", code=3012),
    *_both(
        "dns",
        "Name of {}",
        "Does the host name of {} resolve here?",
        code=3900,
        needs="proxy",
        actions=(
            "Check the hosts file. If it does not have the name, a search domain with a wildcard record answers with another host.",
            "Remove that record, or set `options ndots:1` in /etc/resolv.conf.",
            "In Kubernetes, set `dnsConfig` with `ndots: 1`, as the chart does. Compare with the name as written: `Resolve-DnsName HOST. -DnsOnly`.",
        ),
    ),
    *_both("tcp", "Port 443 of {}", "Does a TCP connection to {} succeed?", code=3008, needs="dns"),
    *_both(
        "issuer",
        "Issuer seen for {}",
        "Who issued the certificate of {}: an authority of Azure, or a proxy that inspects TLS?",
        code=3008,
        needs="tcp",
        actions=(
            "If a proxy inspects TLS, exempt the host. SQL Server connects only if Windows trusts that authority: `certutil -store Root`.",
        ),
    ),
    *_both(
        "tls",
        "TLS with {}",
        "Does {}'s certificate have a trusted chain, the right name and valid dates, and does the handshake succeed?",
        code=3008,
        needs="issuer",
        actions=("Azure renews its certificates weeks before expiry. This one may belong to a proxy: check its issuer.",),
    ),
    Check(
        name="revocation",
        title="Revocation, port 80",
        question="Do the revocation hosts of the certificates (CRL, OCSP) respond on port 80? Windows queries them.",
        actions=(
            "Allow outbound port 80 to these hosts. Windows queries them for each certificate, and connections wait for the response.",
        ),
    ),
    Check(
        name="path",
        title="Path to the vault",
        question="Is the vault reached over the network path that the module expects, private or public?",
        needs=("tls_vault",),
        effect="The vault was reached, but over another network path than the module expects.",
        actions=_to_private("vaultcore"),
        on_hsm=_to_private("managedhsm"),
    ),
    Check(
        name="clock",
        title="Clock",
        question="How far is this host's clock from that of the services? Beyond five minutes, signed assertions are refused.",
        code=3303,
        effect="Entra accepts a client secret even if the clock is wrong. It would refuse a certificate or another signed assertion.",
        actions=(SYNCHRONISE, "Show its source and offset: `w32tm /query /status` on Windows, `chronyc tracking` on Linux."),
    ),
)

# Rows of the checks of the sign-in and of the vault's responses, such as its firewall.

SIGN_IN: tuple[Check, ...] = (
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
    Check(
        name="secret",
        title="Secret, as read here",
        question="Can the exporter read its own secret file?",
        effect="This is the exporter's copy of the secret. SQL Server has another copy, which was not tested.",
    ),
    Check(
        name="credential_string",
        title="Credential string",
        question="Does SECRET follow the rules: 32 hex digits without hyphens, then the secret, at most 120 characters?",
        code=2050,
        needs=("secret",),
        actions=BY_CODE[2050].actions,
        effect="SQL Server cannot sign in with such a string. Correct it before you write it into a credential.",
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
        actions=(
            "Check the application, and that no proxy changes responses of Entra or the vault: `az ad app show --id CLIENT_ID --query appId`.",
        ),
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

# Rows of the checks of the key, its permissions and the expiries.

_EXPIRY = "az ad app credential list --id CLIENT_ID --query [].endDateTime --output tsv"
_NEW_KEY = """\
CREATE ASYMMETRIC KEY [NEW_EKM_KEY] FROM PROVIDER [PROVIDER]
  WITH PROVIDER_KEY_NAME = 'KEY/NEWEST', CREATION_DISPOSITION = OPEN_EXISTING;
CREATE LOGIN [NEW_EKM_LOGIN] FROM ASYMMETRIC KEY [NEW_EKM_KEY];
ALTER LOGIN [YOUR_LOGIN] DROP CREDENTIAL [NEW_CREDENTIAL];
ALTER LOGIN [NEW_EKM_LOGIN] ADD CREDENTIAL [NEW_CREDENTIAL];"""
# In which byte order SQL Server stores the modulus is not documented, so the query searches both.
_SAME_PUBLIC_KEY = """\
SELECT name, CONVERT(varchar(100), thumbprint, 1) AS thumbprint FROM master.sys.asymmetric_keys
  WHERE CONVERT(varchar(max), public_key, 2) LIKE '%MODULUS_END%'
  OR CONVERT(varchar(max), public_key, 2) LIKE '%MODULUS_REVERSED%';"""
_USED_THUMBPRINTS = """\
SELECT DB_NAME(database_id) AS name, CONVERT(varchar(100), encryptor_thumbprint, 1) AS thumbprint
  FROM sys.dm_database_encryption_keys;"""


def _permission(operation: str, title: str, question: str, moment: FailureMoment, *needs: str) -> Check:
    return Check(name=f"permission_{operation}", title=title, question=question, code=3077, moment=moment, needs=needs)


KEY: tuple[Check, ...] = (
    Check(
        name="key_name",
        title="Name of the key",
        question="Does the key name have only letters, digits and hyphens, and at most 26 of them?",
        code=2049,
        moment=FailureMoment.SETUP,
    ),
    _permission("get", "Permission get", "May the identity read the key?", FailureMoment.KEY, "audience"),
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
    _permission(
        "wrap", "Permission wrapKey", "May the identity wrap with the key?", FailureMoment.WRAP, "key_type", "key_enabled"
    ),
    _permission(
        "unwrap", "Permission unwrapKey", "May the identity unwrap with the key?", FailureMoment.UNWRAP, "key_type", "key_enabled"
    ),
    Check(
        name="permission_list",
        title="Permission list",
        question="May the identity list keys? The connector does not need it; older Microsoft pages require it. At most a warning.",
        moment=FailureMoment.KEY,
        needs=("audience",),
        actions=(
            "The connector does not need `list`. Under access policies, it can be added.",
            (
                "Name every permission that the application needs, because this replaces them all: "
                "`az keyvault set-policy --name VAULT --object-id OBJECT_ID --key-permissions get list wrapKey unwrapKey OTHER_PERMISSIONS`."
            ),
            FIND_OBJECT_ID,
        ),
        on_hsm=("The connector does not need `list`.",),
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
        actions=(
            "No action is urgent: SQL Server keeps the version of its asymmetric key. Do not disable or delete that version.",
            "To move to the newest, create a credential for the login of the new key.",
            f"Then on every replica, while that credential is assigned to your own login: `{_NEW_KEY}`.",
            "When every replica is done, on the primary, in each database: `ALTER DATABASE ENCRYPTION KEY ENCRYPTION BY SERVER ASYMMETRIC KEY [NEW_EKM_KEY];`.",
            "Keep the old key and its login in SQL Server, and the old version enabled in the vault. Existing backups need them.",
            "Then write the new version into `key` of the target, and back up the databases.",
        ),
    ),
    Check(
        name="thumbprint",
        title="Thumbprint of the key",
        question="Do pin, thumbprint and public key belong together? Only a contradiction is visible here; the query shows the rest.",
        moment=FailureMoment.KEY,
        needs=("key_type",),
        actions=(
            (
                "In SQL Server. The query lists the asymmetric keys with the public key of this version. "
                f"Their thumbprint must be the declared one: `{_SAME_PUBLIC_KEY}`."
            ),
            "Then write that thumbprint into the configuration. No row means that SQL Server has no key of this version.",
            f"To show the thumbprint that each database uses: `{_USED_THUMBPRINTS}`.",
        ),
        if_unknown=True,
    ),
    Check(
        name="credential_expiry",
        title="Credential expiry",
        question="When does the credential expire?",
        code=3303,
        actions=(f"List the real expiry of the secret, then set `expires_on` or correct the source: `{_EXPIRY}`.",),
        of_certificate=(
            f"List the real expiry of the certificate, then set `expires_on` or correct the source: `{_EXPIRY} --cert`.",
        ),
        if_unknown=True,
    ),
    Check(
        name="key_expiry",
        title="Key expiry",
        question="When does the key version expire?",
        moment=FailureMoment.WRAP,
        needs=("key_version",),
        actions=(
            (
                "Rotate before that date, or extend it: "
                "`az keyvault key set-attributes --vault-name VAULT --name KEY --version VERSION --expires 2030-01-01T00:00:00Z`."
            ),
        ),
    ),
)
