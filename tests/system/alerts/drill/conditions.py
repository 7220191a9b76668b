"""The faults of the drill, their targets and their pages: a literal table.

Each target has a credential and an `env` of its own, so that each condition is one notification.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

TENANT = "5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40"


@dataclass(frozen=True)
class Condition:
    """A fault. `alert` is the page that must arrive, and `words` must be in it next to the target's name."""

    name: str
    broken: str
    fault: dict[str, object]
    alert: str
    words: tuple[str, ...]
    credential: dict[str, object] = field(default_factory=dict)

    @property
    def sql_server(self) -> str:
        return f"SQL{self.name.upper()}"


_YESTERDAY = str((datetime.now(UTC) - timedelta(days=1)).date())

CONDITIONS = (
    Condition(
        "throttled", "the vault responds 429 to every request", {"vault": "throttled", "fault": "throttled"},
        "EkmThrottledSpike", ("3011", "3109"),
    ),
    Condition(
        "forbidden", "a role assignment is removed", {"vault": "forbidden", "fault": "role_removed", "operation": "unwrapKey"},
        "EkmForbiddenSpike", ("3077", "3113", "forbidden_rbac"),
    ),
    Condition(
        "disabled", "the key version is disabled", {"vault": "disabled", "fault": "key_disabled"},
        "EkmForbiddenSpike", ("3077", "3113", "key_disabled"),
    ),
    Condition(
        "refused", "the secret was changed in Entra ID only", {"application": "refused", "fault": "secret_wrong"},
        "EkmCredentialRefused", ("3303", "secret_wrong"),
    ),
    Condition(
        "expired", "the secret has expired", {"application": "expired", "fault": "secret_expired"},
        "EkmCredentialExpired", ("expired",), {"expires_on": _YESTERDAY},
    ),
    Condition(
        "gone", "the vault's host name does not resolve", {"vault": "gone", "fault": "unresolvable"},
        "EkmVaultHostNameGone", ("3900",),
    ),
    Condition(
        "tls", "the vault's TLS certificate has expired", {"vault": "tls", "fault": "tls_expired"},
        "EkmVaultSideNotReady", ("3008", "3106", "tls_expired"),
    ),
    Condition(
        "deleted", "the key is deleted and can be recovered", {"vault": "deleted", "fault": "key_soft_deleted"},
        "EkmKeySoftDeleted", ("purged",),
    ),
)  # fmt: skip
# Entra ID issues no tokens: one page, and none for a single vault.
ENTRA = {"authority": "login.microsoftonline.com", "fault": "html_unavailable"}
HEALTHY = tuple(f"healthy-{number}" for number in range(5))


def configuration(folder, *, names=(*(one.name for one in CONDITIONS), *HEALTHY), interval="2s", timeout="950ms"):
    """Return a configuration with one target, credential, environment and SQL Server per name. Writes the secrets."""
    own = {one.name: one.credential for one in CONDITIONS}
    for name in names:
        (folder / name).write_text(f"MARKED~secret.of.{name}\n")
        (folder / name).chmod(0o600)
    return {
        "global": {"interval": interval, "timeout": timeout, "connector_generation": "classic", "vantage": "sql_host"},
        "credentials": {
            name: {
                "type": "client_secret",
                "tenant_id": TENANT,
                "client_id": f"2b8e4d70-6c1f-4a95-8d23-{number:012}",
                "client_secret_file": name,
                "expires_on": "2099-01-01",
                **own.get(name, {}),
            }
            for number, name in enumerate(names)
        },
        "targets": [
            {
                "name": name,
                "vault": name,
                "key": f"TdeKey/{number:032x}",
                "credential": name,
                "labels": {"team": "dba", "env": name},
                "instances": [{"sql_instance": f"SQL{name.upper()}", "host": "n1"}],
            }
            for number, name in enumerate(names)
        ],
    }
