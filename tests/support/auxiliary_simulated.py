"""A simulated environment for auxiliary probes: three vaults and four identities."""

from exporter.config.settings import Config, Module, Settings, Target
from exporter.core.values import Vantage
from exporter.simulator.environment import Application, ClientSecret, Environment, Key, SimulatedKeyVersion, Tenant, Vault
from tests.support.auxiliary_factories import NAMES, OLD, OLDER, PINNED, TARGET
from tests.support.factories import a_config, a_credential
from tests.support.values import replace

TENANT = "11111111-2222-3333-4444-555555555555"
PRIMARY, ARCHIVE, RECOVERY = "contoso.vault.azure.net", "old.vault.azure.net", "contoso-dr.vault.azure.net"
CLIENTS = {name: f"66666666-7777-8888-9999-00000000000{number}" for number, name in enumerate(NAMES, 1)}
SECRET = "MARKED~secret.of.{}"
READ_AND_UNWRAP = frozenset({"get", "unwrapKey"})
SQL_SERVER = frozenset({"get", "wrapKey", "unwrapKey"})


def a_key(name, *versions):
    """A key with `versions` as (version, material), the newest last. A restored key has the same material."""
    return {
        name.lower(): Key(name=name, versions=tuple(SimulatedKeyVersion(version=one, material=made) for one, made in versions))
    }


def environment():
    applications = {
        client: Application(
            client_id=client, object_id=f"o-{name}", names=(name,), secrets=(ClientSecret(value=SECRET.format(name)),)
        )
        for name, client in CLIENTS.items()
    }
    primary = dict.fromkeys((CLIENTS["now"], CLIENTS["staged"]), SQL_SERVER)
    vaults = (
        Vault(host=PRIMARY, tenant_id=TENANT, keys=a_key("Key0", (OLD, 1), (PINNED, 2)), permissions=primary),
        Vault(host=ARCHIVE, tenant_id=TENANT, keys=a_key("Archive", (OLDER, 3)), permissions={CLIENTS["old"]: READ_AND_UNWRAP}),
        Vault(
            host=RECOVERY,
            tenant_id=TENANT,
            keys=a_key("Key0", (OLD, 1), (PINNED, 2)),
            permissions={CLIENTS["dr"]: READ_AND_UNWRAP},
        ),
    )
    return Environment(
        tenants={TENANT: Tenant(tenant_id=TENANT, applications=applications)}, vaults={vault.host: vault for vault in vaults}
    )


def requests_to(simulator, host):
    """The number of requests to a vault by operation."""
    found = {}
    for (requested, operation, _), count in simulator.requests.items():
        if requested == host:
            found[operation] = found.get(operation, 0) + count
    return found


def configuration(simulator, folder, *, target: Target = TARGET, **module) -> Config:
    """The configuration of a target, redirected to the simulator. Write its secrets and CA into `folder`."""
    (folder / "ca.pem").write_bytes(simulator.ca_pem)
    for name in NAMES:
        if not (folder / name).exists():
            (folder / name).write_text(SECRET.format(name) + "\n")
    credentials = [a_credential(name, tenant_id=TENANT, client_id=client, file=folder / name) for name, client in CLIENTS.items()]
    made = Module(name="default", ca_file=folder / "ca.pem", connect_to=simulator.connect_to, **module)
    settings = Settings(vantage=Vantage.SQL_HOST)
    return a_config(replace(target, module="default"), credentials=credentials, modules=(made,), settings=settings)
