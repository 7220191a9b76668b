"""Changes while the simulator runs: rolled secrets, renewed certificates, rotated keys and reloaded files."""

import asyncio
import json

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.simulator.build import build_environment, reload_credentials
from exporter.simulator.environment import ClientSecret, SimulatedKeyVersion
from exporter.simulator.faults import Options, UnknownNameError
from exporter.simulator.simulator import Simulator
from tests.integration.simulator.test_simulate_command import banner, end, post, simulate
from tests.support.simulated_environment import LATER
from tests.support.simulator_client import CLIENT, KEY, SECRET, TENANT, VAULT, Client
from tests.support.tls_server import Authority, Principal
from tests.support.values import replace
from tests.support.written import written

NEW = "marked-secret-new"


def accepting(*values):
    return lambda application: replace(application, secrets=tuple(ClientSecret(value=one) for one in values))


async def accepted(client, *secrets, of=CLIENT):
    return [(await client.token_answer(secret=secret, client=of)).status for secret in secrets]


@pytest.mark.parametrize("name", [CLIENT, "sql-prod"])
async def test_secret_is_added_and_the_old_one_removed(client, simulator, name):
    assert await accepted(client, SECRET, NEW) == [200, 401]
    simulator.state.change_application(name, accepting(SECRET, NEW))
    assert await accepted(client, SECRET, NEW) == [200, 200]
    simulator.state.change_application(name, accepting(NEW))
    assert await accepted(client, SECRET, NEW) == [401, 200]


async def test_cleared_fault_keeps_a_change_made_meanwhile(client, simulator):
    fault = simulator.set_fault("secret_expired", application=CLIENT)
    simulator.state.change_application(CLIENT, accepting(NEW))
    assert (await client.token_answer(secret=NEW)).json["error_codes"] == [7000222]
    simulator.clear(number=fault.number)
    assert await accepted(client, SECRET, NEW) == [401, 200]


async def test_changed_keys_and_permissions_persist(client, simulator):
    def rotate(vault):
        key = vault.keys[KEY.lower()]
        newest = SimulatedKeyVersion(version="a" * 32, material=3)
        return replace(vault, keys={KEY.lower(): replace(key, versions=(*key.versions, newest))})

    simulator.state.change_vault("contoso-one", rotate)
    token = await client.token()
    assert (await client.get(token, path=f"/keys/{KEY}")).json["key"]["kid"].endswith("a" * 32)
    simulator.set_fault("key_disabled", Options(version="a" * 32), vault=VAULT)
    simulator.state.change_vault(VAULT, lambda vault: vault.without("unwrapKey"))
    assert (await client.operate(token, "unwrapkey", b"x" * 256)).status == 403
    assert (await client.get(token, path=f"/keys/{KEY}/{LATER}")).json["attributes"]["enabled"] is True


CONFIGURATION = """\
credentials:
  sql: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: one}
  typed: {type: connector_secret, tenant_id: 11111111-2222-3333-4444-555555555555, secret_file: typed}
  cert: {type: client_certificate, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000001, certificate_file: principal.pem}
  host: {type: managed_identity}
targets:
  - {name: one, vault: contoso-one, key: TdeKey, credential: sql}
"""
TYPED = "66666666777788889999000000000002"
TYPED_ID = "66666666-7777-8888-9999-000000000002"


@pytest.fixture
def config(tmp_path):
    files = {"one": SECRET, "typed": f"{TYPED}first", "principal.pem": Principal(Authority(tmp_path)).pem()}
    return written(tmp_path, CONFIGURATION, **files)


@pytest.fixture
async def served(config):
    async with Simulator(build_environment(config)) as simulator:
        yield simulator


def certificates(simulator):
    return simulator.state.environment.tenants[TENANT].applications["66666666-7777-8888-9999-000000000001"].certificates


async def test_unchanged_files_change_nothing(served, config):
    before = served.state.environment
    assert await reload_credentials(served, config) == {"sql": "as before", "typed": "as before", "cert": "as before"}
    assert served.state.environment == before


async def test_reloaded_files_are_accepted_with_the_previous_ones(served, config, tmp_path):
    (tmp_path / "one").write_text(NEW)
    (tmp_path / "typed").write_text(f"{TYPED}second")
    renewed = Principal(Authority(tmp_path, "Renewed"))
    (tmp_path / "principal.pem").write_bytes(renewed.pem())
    assert await reload_credentials(served, config) == {"sql": "new", "typed": "new", "cert": "new"}
    async with Client(served) as client:
        assert await accepted(client, SECRET, NEW) == [200, 200]
        assert await accepted(client, "first", "second", of=TYPED_ID) == [200, 200]
    assert len(certificates(served)) == 2
    assert certificates(served)[1] == renewed.certificate.public_bytes(Encoding.DER)


async def test_unusable_file_is_reported_without_its_content(served, config, tmp_path):
    (tmp_path / "one").unlink()
    (tmp_path / "typed").write_text(TYPED[:31] + "g" + "marked")
    (tmp_path / "principal.pem").write_text("marked: no certificate")
    became = await reload_credentials(served, config)
    assert [became[name].partition(":")[0] for name in ("sql", "typed", "cert")] == ["cannot be read"] + ["cannot be used"] * 2
    assert "marked" not in json.dumps(became)
    (tmp_path / "one").write_text(NEW)
    assert (await reload_credentials(served, config))["sql"] == "new"


async def test_credential_of_another_application_is_reported(served, config, tmp_path):
    (tmp_path / "typed").write_text("0" * 32 + "first")
    assert (await reload_credentials(served, config))["typed"].startswith("is another application's now")


async def test_reload_without_a_configuration_is_an_error(simulator):
    with pytest.raises(UnknownNameError, match="no configuration"):
        await simulator.reload()
    async with aiohttp.ClientSession(simulator.management_url) as session, session.post("/sim/reload") as answer:
        assert (answer.status, "no configuration" in await answer.text()) == (400, True)


@pytest.mark.usefixtures("config")
async def test_simulate_command_reloads_its_files_on_request(tmp_path):
    (tmp_path / "ekm.yml").rename(tmp_path / "main.yml")
    process = await simulate(tmp_path)
    printed = await banner(process)
    url = printed.partition("management port: ")[2].partition("\n")[0]
    (tmp_path / "one").write_text(NEW)
    answer = json.loads(await asyncio.to_thread(post, f"{url}/sim/reload", b""))
    process.terminate()
    code, _, err = await end(process)
    assert (code, err) == (0, "")
    assert answer["credentials"] == {"sql": "new", "typed": "as before", "cert": "as before"}
    assert f"{url}/sim/reload" in printed
