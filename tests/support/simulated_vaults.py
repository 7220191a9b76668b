"""One vault of each kind, each in a tenant of its own, and the configuration of an exporter that probes them all."""

from dataclasses import dataclass

from exporter.config.model import Config, Credential, CredentialKind, Module, SecretSource, Settings, Target
from exporter.core.model import Generation
from exporter.simulator import Environment
from exporter.simulator.model import ALL_OPERATIONS, Application, ClientSecret, Key, KeyVersion, Tenant, Vault
from tests.support.simulator_client import KEY, VERSION

SECRET = "marked~secret.of-every_site"


@dataclass(frozen=True)
class Site:
    name: str
    vault: str
    authority: str
    number: int
    kty: str = "RSA"

    @property
    def tenant(self):
        return f"11111111-2222-3333-4444-00000000000{self.number}"

    @property
    def client(self):
        return f"66666666-7777-8888-9999-00000000000{self.number}"


PUBLIC = Site("public", "contoso-one.vault.azure.net", "login.microsoftonline.com", 1)
MANAGED_HSM = Site("hsm", "contoso-hsm.managedhsm.azure.net", "login.microsoftonline.com", 2, "RSA-HSM")
US_GOVERNMENT = Site("us", "contoso-us.vault.usgovcloudapi.net", "login.microsoftonline.us", 3)
CHINA = Site("china", "contoso-cn.vault.azure.cn", "login.chinacloudapi.cn", 4)
SITES = (PUBLIC, MANAGED_HSM, US_GOVERNMENT, CHINA)

# Both generations on the public cloud, one each elsewhere: the switch knows nothing of clouds.
PROBED = (
    (PUBLIC, Generation.CLASSIC),
    (PUBLIC, Generation.CURRENT),
    (MANAGED_HSM, Generation.CLASSIC),
    (US_GOVERNMENT, Generation.CURRENT),
    (CHINA, Generation.CLASSIC),
)


def environment(*, certificates=()):
    def vault(site):
        versions = (KeyVersion(version=VERSION, kty=site.kty), KeyVersion(version="f" * 32, kty=site.kty, material=1))
        return Vault(
            host=site.vault,
            tenant_id=site.tenant,
            authority=site.authority,
            keys={KEY.lower(): Key(name=KEY, versions=versions)},
            permissions={site.client: ALL_OPERATIONS},
        )

    def tenant(site):
        secrets = (ClientSecret(value=SECRET),)
        one = Application(client_id=site.client, object_id=f"o-{site.number}", secrets=secrets, certificates=certificates)
        return Tenant(tenant_id=site.tenant, applications={site.client: one})

    return Environment(
        tenants={site.tenant: tenant(site) for site in SITES},
        vaults={site.vault: vault(site) for site in SITES},
        authorities=frozenset(site.authority for site in SITES),
        host_identity=PUBLIC.client,
    )


def by_secret(site, file):
    return Credential(
        name=site.name,
        kind=CredentialKind.CLIENT_SECRET,
        tenant_id=site.tenant,
        client_id=site.client,
        secret=SecretSource(file=file),
    )


def target_name(site, generation):
    return f"{site.name}-{generation}"


def configuration(simulator, ca_file, credentials, *, timeout=10.0):
    """One target for each of PROBED, with the credential of its site."""
    targets = {
        target_name(site, generation): Target(
            name=target_name(site, generation),
            vault=site.vault,
            key_name=KEY,
            key_version=VERSION,
            credential=site.name,
            module="default",
            interval=60.0,
            timeout=timeout,
            generation=generation,
            generation_declared=True,
        )
        for site, generation in PROBED
    }
    module = Module(name="default", ca_file=ca_file, connect_to=simulator.connect_to)
    return Config(settings=Settings(), credentials=credentials, modules={"default": module}, targets=targets)
