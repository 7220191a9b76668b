import stat
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.config.load import load_config
from exporter.simulator import story
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.simulator import Simulator
from tests.support.simulator_client import Client
from tests.support.tls_server import Authority, Principal
from tests.support.values import replace

MAIN = """\
include: [more.yml]
credentials:
  by-id: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: one}
  staged: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: two}
  as-typed: {type: connector_secret, secret_file: typed}
modules:
  default: {connect_to: {"elsewhere.example:443": "10.1.2.3:443"}}
  careful: {mode: read_only}
targets:
  - name: first
    vault: contoso-one
    key: TdeKey/0123456789abcdef0123456789abcdef
    credential: by-id
    next_credential: staged
    retained_versions: [{key: TdeKey/00000000000000000000000000000001}]
    recovery_vault: contoso-dr
"""
MORE = """\
targets:
  - {name: second, vault: contoso-two, key: OtherKey, credential: as-typed, module: careful}
  - {name: hsm, vault: contoso.managedhsm.usgovcloudapi.net, key: HsmKey/00000000000000000000000000000002, credential: by-id}
"""


ONE, OTHER = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"


@pytest.fixture
def folder(tmp_path):
    secrets = {"one": "marked-one", "two": "marked-two", "typed": "c7a1f0e8d29b4c56a3e47d8b1f60925e" + "marked-typed"}
    for name, text in {"main.yml": MAIN, "more.yml": MORE, **secrets}.items():
        (tmp_path / name).write_text(text + "\n")
    return tmp_path


@pytest.fixture
def written(folder):
    loaded = load_config(folder / "main.yml")
    assert loaded.problems == ()
    return loaded.config


@pytest.fixture
async def running(written):
    async with Simulator(build_environment(written)) as simulator:
        yield simulator


async def test_configured_vaults_keys_and_secrets_are_served(running):
    async with Client(running) as client:
        for secret in ("marked-one", "marked-two"):
            token = await client.token(secret=secret)
            for version in ("0123456789abcdef0123456789abcdef", "00000000000000000000000000000001"):
                answer = await client.get(token, vault="contoso-one.vault.azure.net", path=f"/keys/TdeKey/{version}")
                assert answer.status == 200
        newest = await client.get(token, vault="contoso-one.vault.azure.net", path="/keys/TdeKey")
        assert newest.json["key"]["kid"].endswith("/0123456789abcdef0123456789abcdef")


async def test_connector_secret_gets_the_tenant_of_the_others(running):
    async with Client(running) as client:
        challenge = (await client.challenge("contoso-two.vault.azure.net")).headers["WWW-Authenticate"]
        tenant = challenge.partition("login.microsoftonline.com/")[2].partition('"')[0]
        assert tenant == ONE
        token = await client.token(tenant=tenant, client="c7a1f0e8-d29b-4c56-a3e4-7d8b1f60925e", secret="marked-typed")
        assert (await client.get(token, vault="contoso-two.vault.azure.net", path="/keys/OtherKey")).status == 200


@pytest.mark.parametrize("named", [(), (ONE, OTHER)], ids=["none", "two"])
def test_tenant_is_invented_without_a_single_configured_one(written, named):
    tenants = dict(zip(("by-id", "staged"), named, strict=False))
    credentials = {name: replace(one, tenant_id=tenants.get(name)) for name, one in written.credentials.items()}
    assert (
        build_environment(replace(written, credentials=credentials)).vaults["contoso-two.vault.azure.net"].tenant_id not in named
    )


async def test_recovery_vault_unwraps_data_of_the_primary(running):
    async with Client(running) as client:
        token = await client.token(secret="marked-one")
        version = {"version": "0123456789abcdef0123456789abcdef"}
        wrapped = await client.operate(token, "wrapkey", b"x" * 32, vault="contoso-one.vault.azure.net", **version)
        back = await client.unwrap_text(token, wrapped.json["value"], vault="contoso-dr.vault.azure.net", **version)
        assert back.json["value"] == "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"


async def test_sovereign_cloud_has_its_own_authority_and_audience(running):
    async with Client(running) as client:
        challenge = (await client.challenge("contoso.managedhsm.usgovcloudapi.net")).headers["WWW-Authenticate"]
    assert 'authorization="https://login.microsoftonline.us/' in challenge
    assert challenge.endswith('resource="https://managedhsm.usgovcloudapi.net"')


ELSE = """\
credentials:
  by-file: {type: client_certificate, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000000, certificate_file: principal.pfx, password_file: password}
  broken: {type: client_certificate, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000001, certificate_file: password}
  of-host: {type: managed_identity}
  assigned: {type: managed_identity, client_id: 66666666-7777-8888-9999-00000000000a}
targets:
  - {name: one, vault: contoso-one, key: TdeKey, credential: by-file}
  - {name: two, vault: contoso-two, key: TdeKey, credential: of-host}
  - {name: three, vault: contoso-three, key: TdeKey, credential: assigned}
  - {name: four, vault: contoso-four, key: TdeKey, credential: broken}
"""


async def test_certificates_are_registered_and_identities_assigned(tmp_path):
    principal = Principal(Authority(tmp_path))
    (tmp_path / "principal.pfx").write_bytes(principal.pfx(b"right"))
    (tmp_path / "password").write_text("right")
    (tmp_path / "ekm.yml").write_text(ELSE)
    environment = build_environment(load_config(tmp_path / "ekm.yml").config)
    applications = {key: one for tenant in environment.tenants.values() for key, one in tenant.applications.items()}
    (der,) = applications["66666666-7777-8888-9999-000000000000"].certificates
    assert der == principal.certificate.public_bytes(Encoding.DER)
    assert applications["66666666-7777-8888-9999-000000000001"].certificates == ()
    assert applications[environment.host_identity].names == ("of-host",)
    assert environment.host_identity in environment.vaults["contoso-two.vault.azure.net"].permissions
    async with Simulator(environment) as simulator, Client(simulator) as client:
        for vault, query in (("contoso-two", ""), ("contoso-three", "&client_id=66666666-7777-8888-9999-00000000000a")):
            address = f"{simulator.identity_url}?resource=https://vault.azure.net{query}"
            token = (await client.request("GET", address, headers={"X-IDENTITY-HEADER": "any"})).json["access_token"]
            assert (await client.get(token, vault=f"{vault}.vault.azure.net", path="/keys/TdeKey")).status == 200


async def test_written_configuration_leads_to_the_simulator(running, written, tmp_path):
    path = write_config(running, written, tmp_path / "sim")
    loaded = load_config(path)
    assert loaded.problems == ()
    assert loaded.config.targets.keys() == written.targets.keys()
    assert loaded.config.targets["first"].retained_versions == written.targets["first"].retained_versions
    assert loaded.config.credentials == written.credentials
    for name in ("default", "careful"):
        module = loaded.config.modules[name]
        assert module.ca_file == tmp_path / "sim" / "ca.pem"
        assert module.connect_to["contoso-one.vault.azure.net:443"] == running.address
        assert module.mode == written.modules[name].mode
    assert loaded.config.modules["default"].connect_to["elsewhere.example:443"] == "10.1.2.3:443"
    assert (tmp_path / "sim" / "ca.pem").read_bytes() == running.ca_pem
    assert "marked" not in path.read_text()


def test_demo_configuration_warns_of_the_expired_secret_only(tmp_path):
    loaded = load_config(story.write_demo(tmp_path), today=datetime.now(UTC).date())
    assert loaded.problems == ()
    assert ["sql-payroll" in str(warning) for warning in loaded.warnings] == [True]
    assert loaded.config.settings.interval == 7
    assert len(loaded.config.targets) >= 8
    assert all(target.instances and target.labels for target in loaded.config.targets.values())


def test_demo_secrets_are_random_and_private(tmp_path):
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        story.write_demo(tmp_path / name)
        secret = tmp_path / name / "secrets" / "sql-prod"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        texts.append(secret.read_text())
    assert texts[0] != texts[1]


async def test_demo_story_sets_its_faults(tmp_path):
    config = load_config(story.write_demo(tmp_path)).config
    simulator = Simulator(build_environment(config))
    story.begin(simulator)
    now = {(active.name, active.fault.name) for active in simulator.state.active}
    assert ("contoso-archive.vault.azure.net", "unresolvable") in now
    assert ("9d3c6a15-7e2b-4f80-b41a-0c8f6e5d2a97", "secret_expired") in now
    assert "2b8e4d70-6c1f-4a95-8d23-9f0e5b7a1c64" not in {name for name, _ in now}
    await story.play(
        simulator,
        [
            story.StoryEvent(vault="contoso-billing", scenario="unwrap_forbidden", at=0.01),
            story.StoryEvent(vault="contoso-warehouse", scenario="throttled", at=0.01, lasts=0.01),
        ],
    )
    then = {(active.name, active.fault.name) for active in simulator.state.active} - now
    assert then == {("contoso-billing.vault.azure.net", "permission_removed")}
