"""A small environment without faults."""

from exporter.simulator.environment import (
    ALL_OPERATIONS,
    Application,
    ClientSecret,
    Environment,
    Key,
    SimulatedKeyVersion,
    SimulatedSqlServer,
    SqlKey,
    Tenant,
    Vault,
)
from tests.support.simulator_client import (
    CLIENT,
    HSM,
    KEY,
    MONITOR,
    MONITOR_SECRET,
    OTHER,
    OTHER_CLIENT,
    SECRET,
    SQL,
    TENANT,
    VAULT,
    VERSION,
)
from tests.support.values import replace

LATER = "0123456789abcdef0123456789abcd02"


def small_environment(*keys, **changes):
    """Three vaults; the first one also has these keys and these values of its fields."""
    versions = (SimulatedKeyVersion(version=VERSION), SimulatedKeyVersion(version=LATER, material=1))
    callers = dict.fromkeys((CLIENT, OTHER_CLIENT), ALL_OPERATIONS)

    def vault(host, *, kty="RSA", operations=callers):
        keys = {
            KEY.lower(): Key(
                name=KEY, versions=tuple(SimulatedKeyVersion(version=v.version, material=v.material, kty=kty) for v in versions)
            )
        }
        return Vault(host=host, tenant_id=TENANT, keys=keys, permissions=operations)

    applications = {
        CLIENT: Application(client_id=CLIENT, object_id="o-1", names=("sql-prod",), secrets=(ClientSecret(value=SECRET),)),
        MONITOR: Application(
            client_id=MONITOR, object_id="o-3", secrets=(ClientSecret(value=MONITOR_SECRET),), graph_reader=True
        ),
        OTHER_CLIENT: Application(client_id=OTHER_CLIENT, object_id="o-2", secrets=(ClientSecret(value="marked-secret-two"),)),
    }
    first = vault(VAULT)
    first = replace(first, **{"keys": {**first.keys, **{key.name.lower(): key for key in keys}}} | changes)
    vaults = (first, vault(OTHER, operations={CLIENT: ALL_OPERATIONS}), vault(HSM, kty="RSA-HSM"))
    key = SqlKey(
        vault=VAULT, key_name=KEY, key_version=VERSION, thumbprint="0x" + "A1" * 20, credential="tde", identity="contoso-one"
    )
    server = SimulatedSqlServer(name=SQL, sql_instance="SQLPRD01", host="n1", keys=(key,), databases=())
    return Environment(
        tenants={TENANT: Tenant(tenant_id=TENANT, applications=applications)},
        vaults={vault.host: vault for vault in vaults},
        sql_servers={SQL.lower(): server},
    )
