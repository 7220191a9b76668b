"""The incidents of the drill: what breaks, for how long, and the one page that must arrive. A literal table.

The targets of an incident have an `env` of their own, so that its messages can be recognised. Minutes are those of an
installation with one probe a minute.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

TENANT = "5f2a9c1e-0b7d-4c36-9e58-3a1d7c2b8f40"
SIGN_IN = "login.microsoftonline.com"
OUT = ((0, 12),)
WAVES = ((0, 5), (11, 16))


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A fault on its targets. `words` must be in the page; `on` are the kinds of subject that the fault is set on.

    The exporter `host` probes them. An exporter of its own has the name of the incident. `spans` are minutes from begin to end.
    """

    name: str
    broken: str
    alert: str
    fault: Mapping[str, object] = field(default_factory=dict)
    on: tuple[str, ...] = ("vault",)
    words: tuple[str, ...] = ()
    host: str = "vaults"
    count: int = 1
    shared: bool = False
    to: str = "dba"
    spans: tuple[tuple[int, int], ...] = OUT

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.name,) if self.count == 1 else tuple(f"{self.name}-{number:02}" for number in range(self.count))

    @property
    def minutes(self) -> int:
        """When the fault ends, in minutes from its begin."""
        return self.spans[-1][1]

    @property
    def in_the_page(self) -> tuple[str, ...]:
        """The words of the page. An exporter that is down can name no SQL Server."""
        return (*self.words, f"SQL{self.targets[0].upper()}") if self.fault else self.words

    def credential(self, target: str) -> str:
        return self.name if self.shared else target

    def faults(self) -> Iterator[dict[str, object]]:
        """The bodies for the simulator."""
        subjects = {
            "vault": self.targets,
            "application": tuple(dict.fromkeys(self.credential(target) for target in self.targets)),
            "authority": (SIGN_IN,),
        }
        return ({kind: one, **self.fault} for kind in self.on for one in subjects[kind])


INCIDENTS = (
    Incident(
        name="region", broken="four vaults of a region respond 503", alert="EkmRegionDown", to="platform",
        fault={"fault": "vault_unavailable"}, host="region", count=4, words=("westeurope",),
    ),
    Incident(
        name="egress", broken="no host name resolves on the exporter's host", alert="EkmEgressDown", to="platform",
        fault={"fault": "unresolvable"}, on=("vault", "authority"), host="egress", count=4,
    ),
    Incident(
        name="entra", broken="Entra ID issues no tokens", alert="EkmEntraUnavailable", to="platform",
        fault={"fault": "html_unavailable"}, on=("authority",), host="entra", count=4,
    ),
    Incident(
        name="killed", broken="the exporter is killed", alert="EkmExporterDown", to="platform", host="killed",
    ),
    Incident(
        name="shared", broken="the secret of six targets was changed in Entra ID only", alert="EkmCredentialRefused",
        fault={"fault": "secret_wrong"}, on=("application",), count=6, shared=True, words=("3303", "secret_wrong", "SQLSHARED-"),
    ),
    Incident(
        name="waves", broken="the vault responds 429 for 5 minutes, twice, with 6 minutes between", alert="EkmThrottledSpike",
        fault={"fault": "throttled"}, words=("3011", "3109"), spans=WAVES,
    ),
    Incident(
        name="throttled", broken="the vault responds 429 to every request", alert="EkmThrottledSpike",
        fault={"fault": "throttled"}, words=("3011", "3109"),
    ),
    Incident(
        name="forbidden", broken="a role assignment is removed", alert="EkmForbiddenSpike",
        fault={"fault": "role_removed", "operation": "unwrapKey"}, words=("3077", "3113", "forbidden_rbac"),
    ),
    Incident(
        name="disabled", broken="the key version is disabled", alert="EkmForbiddenSpike",
        fault={"fault": "key_disabled"}, words=("3077", "3113", "key_disabled"),
    ),
    Incident(
        name="expired", broken="the secret has expired", alert="EkmCredentialExpired",
        fault={"fault": "secret_expired"}, on=("application",), words=("expired",),
    ),
    Incident(
        name="gone", broken="the vault's host name does not resolve", alert="EkmVaultHostNameGone",
        fault={"fault": "unresolvable"}, words=("3900",),
    ),
    Incident(
        name="tls", broken="the vault's TLS certificate has expired", alert="EkmVaultSideNotReady",
        fault={"fault": "tls_expired"}, words=("3008", "tls_expired"),
    ),
    Incident(
        name="deleted", broken="the key is deleted and can be recovered", alert="EkmKeySoftDeleted",
        fault={"fault": "key_soft_deleted"}, words=("it is lost after",),
    ),
)  # fmt: skip

HEALTHY = Incident(name="healthy", broken="nothing", alert="", count=2)
# One probe in a hundred fails at random: ten times what the rules are designed for.
NOISY = Incident(name="noisy", broken="one probe in a hundred, at random", alert="", count=8)
# Faults that come and go: a lost packet, a busy vault, a service that fails for a moment.
PASSING = ("reset", "vault_throttled", "vault_unavailable", "closed")
RANDOM = 0.01
QUIET = (HEALTHY, NOISY)


def configuration(folder, incidents, interval):
    """Return the configuration of the exporter that probes all targets of these incidents. Writes the secrets to `folder`.

    `interval`: seconds.
    """
    pace = {"interval": f"{interval * 1000:.0f}ms", "timeout": f"{interval * 475:.0f}ms"}
    of = [(one, target) for one in incidents for target in one.targets]
    names = tuple(dict.fromkeys(one.credential(target) for one, target in of))
    for name in names:
        (folder / name).write_text(f"MARKED~secret.of.{name}\n")
        (folder / name).chmod(0o600)
    return {
        "global": {**pace, "connector_generation": "classic", "vantage": "sql_host"},
        "credentials": {
            name: {
                "type": "client_secret",
                "tenant_id": TENANT,
                "client_id": f"2b8e4d70-6c1f-4a95-8d23-{number:012}",
                "client_secret_file": name,
                "expires_on": "2099-01-01",
            }
            for number, name in enumerate(names)
        },
        "targets": [
            {
                "name": target,
                "vault": target,
                "key": f"TdeKey/{number:032x}",
                "credential": one.credential(target),
                "labels": {"team": "dba", "env": one.name},
                "instances": [{"sql_instance": f"SQL{target.upper()}", "host": "n1"}],
            }
            for number, (one, target) in enumerate(of)
        ],
    }
