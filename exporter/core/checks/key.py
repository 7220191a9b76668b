"""Rows of the checks of the key, its permissions and the expiries."""

from __future__ import annotations

from exporter.core.checks.model import Check, FailureMoment
from exporter.core.codes.action_texts import FIND_OBJECT_ID

_EXPIRY = "az ad app credential list --id CLIENT_ID --query [].endDateTime --output tsv"
_NEW_KEY = """\
CREATE ASYMMETRIC KEY [NEW_EKM_KEY] FROM PROVIDER [PROVIDER]
  WITH PROVIDER_KEY_NAME = 'KEY/NEWEST', CREATION_DISPOSITION = OPEN_EXISTING;
CREATE LOGIN [NEW_EKM_LOGIN] FROM ASYMMETRIC KEY [NEW_EKM_KEY];
ALTER LOGIN [YOUR_LOGIN] DROP CREDENTIAL [NEW_CREDENTIAL];
ALTER LOGIN [NEW_EKM_LOGIN] ADD CREDENTIAL [NEW_CREDENTIAL];"""
_RE_ENCRYPT = "ALTER DATABASE ENCRYPTION KEY ENCRYPTION BY SERVER ASYMMETRIC KEY [NEW_EKM_KEY];"
# In which byte order SQL Server stores the modulus is not documented, so the query searches both.
_SAME_PUBLIC_KEY = """\
SELECT name, CONVERT(varchar(100), thumbprint, 1) AS thumbprint FROM master.sys.asymmetric_keys
  WHERE CONVERT(varchar(max), public_key, 2) LIKE '%MODULUS_END%'
  OR CONVERT(varchar(max), public_key, 2) LIKE '%MODULUS_REVERSED%';"""
_USED_THUMBPRINTS = """\
SELECT DB_NAME(database_id) AS name, CONVERT(varchar(100), encryptor_thumbprint, 1) AS thumbprint
  FROM sys.dm_database_encryption_keys;"""

KEY: tuple[Check, ...] = (
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
            f"When every replica is done, on the primary, in each database: `{_RE_ENCRYPT}`.",
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
