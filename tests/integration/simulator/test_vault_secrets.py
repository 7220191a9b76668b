"""Secrets of a vault: lists in pages, and values for permitted callers only."""

import pytest

from exporter.simulator.build import build_environment
from exporter.simulator.environment import ALL_OPERATIONS, SECRETS_GET, SECRETS_LIST, SimulatedSecretVersion, Versioned
from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import CLIENT, MONITOR, MONITOR_SECRET, SECRET, VAULT, Client
from tests.support.values import replace
from tests.support.written import written

LISTED = "/secrets/sql-prod/versions"
COUNT = 60


def version(number):
    return f"{number * 7919 % 65536:04x}" * 8


def environment(*, rbac=False):
    versions = [SimulatedSecretVersion(version=version(n), value=f"marked-value-{n}", created=1.7e9 + n) for n in range(COUNT)]
    versions[-1] = replace(versions[-1], exp=1.9e9, nbf=1.6e9, enabled=False)
    secrets = {
        "sql-prod": Versioned(name="sql-prod", versions=tuple(versions)),
        "one": Versioned(name="One", versions=versions[:1]),
    }
    permissions = {CLIENT: ALL_OPERATIONS, MONITOR: frozenset({SECRETS_LIST})}
    return small_environment(secrets=secrets, permissions=permissions, rbac=rbac)


@pytest.fixture
async def simulator():
    async with Simulator(environment()) as simulator:
        yield simulator


async def monitor(client):
    return await client.token(client=MONITOR, secret=MONITOR_SECRET)


@pytest.mark.parametrize(
    ("query", "sizes"), [("", [25, 25, 10]), ("&maxresults=20", [20, 20, 20]), ("&maxresults=25", [25, 25, 10])]
)
async def test_each_version_is_listed_once(client, query, sizes):
    listed = [page async for page in client.pages(await monitor(client), LISTED, query)]
    assert [len(page) for page in listed] == sizes
    ids = [item["id"] for page in listed for item in page]
    assert sorted(ids) == ids
    assert set(ids) == {f"https://{VAULT}/secrets/sql-prod/{version(n)}" for n in range(COUNT)}


async def test_listed_version_has_dates_and_no_value(client):
    listed = [item async for page in client.pages(await monitor(client), LISTED) for item in page]
    newest = max(listed, key=lambda item: item["attributes"]["created"])
    assert newest["id"].endswith(version(COUNT - 1))
    dates = {"enabled": False, "exp": 1900000000, "nbf": 1600000000, "created": 1700000059, "updated": 1700000059}
    assert dates.items() <= newest["attributes"].items()
    assert "exp" not in listed[0]["attributes"]
    assert all("value" not in item for item in listed)


async def test_list_permission_does_not_read_values(client, simulator):
    token = await monitor(client)
    for path in ("/secrets/sql-prod", f"/secrets/sql-prod/{version(1)}"):
        refused = await client.get(token, path=path)
        assert (refused.status, refused.error["innererror"]["code"]) == (403, "ForbiddenByPolicy")
        assert "secrets get" in refused.error["message"]
    assert simulator.requests[VAULT, "secret_get", 403] == 2


async def test_get_permission_reads_values():
    allowed = environment()
    vault = replace(allowed.vaults[VAULT], permissions={MONITOR: frozenset({SECRETS_GET})})
    async with Simulator(replace(allowed, vaults={VAULT: vault})) as simulator, Client(simulator) as client:
        token = await monitor(client)
        assert (await client.get(token, path="/secrets/one")).json["value"] == "marked-value-0"
        assert (await client.get(token, path="/secrets/sql-prod")).error["innererror"]["code"] == "SecretDisabled"
        assert (await client.get(token, path="/secrets/none")).error["code"] == "SecretNotFound"
        assert (await client.get(token, path=LISTED)).status == 403


@pytest.mark.parametrize(("rbac", "inner"), [(False, "ForbiddenByPolicy"), (True, "ForbiddenByRbac")])
async def test_key_permissions_do_not_list_secrets(rbac, inner):
    async with Simulator(environment(rbac=rbac)) as simulator, Client(simulator) as client:
        refused = await client.get(await client.token(), path=LISTED)
    assert (refused.status, refused.error["innererror"]["code"]) == (403, inner)


async def test_unknown_secret_has_no_versions(client):
    assert (await client.get(await monitor(client), path="/secrets/none/versions")).json == {"value": [], "nextLink": None}


@pytest.mark.parametrize(
    "query", ["maxresults=26", "maxresults=0", "maxresults=x", "$skiptoken=x", "$skiptoken=e30%3D", "$skiptoken=W10%3D"]
)
async def test_invalid_page_parameter_is_refused(client, query):
    refused = await client.get(await monitor(client), path=LISTED, query=f"?api-version=7.4&{query}")
    assert (refused.status, refused.error["code"]) == (400, "BadParameter")


async def test_list_fault_does_not_affect_keys(client, simulator):
    simulator.set_fault("throttled", Options(at="secret_versions", retry_after=4), vault=VAULT)
    refused = await client.get(await monitor(client), path=LISTED)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "4")
    assert (await client.get(await client.token())).status == 200


CONFIGURATION = """\
credentials:
  sql: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: one, LOOKUP}
  monitor: {type: client_secret, tenant_id: 11111111-2222-3333-4444-555555555555, client_id: 66666666-7777-8888-9999-000000000002, client_secret_file: two}
targets:
  - {name: one, vault: contoso-one, key: TdeKey, credential: sql}
"""
OPS = "https://ops.vault.azure.net/secrets/sql-prod"


@pytest.mark.parametrize(
    ("lookup", "may"),
    [
        (f"key_vault_secret: {OPS}, graph_credential: monitor", {MONITOR}),
        (f"key_vault_secret: {OPS}", {CLIENT}),
        (f"key_vault_secret: {OPS}, key_vault_credential: monitor", {MONITOR}),
        (f"key_vault_secret: {OPS}/{version(1)}, graph_credential: sql2, key_vault_credential: monitor", {MONITOR}),
    ],
)
async def test_configured_secret_is_listed_for_its_lookup_credential(tmp_path, lookup, may):
    text = CONFIGURATION.replace("LOOKUP", lookup)
    second = "  sql2: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000003, client_secret_file: two}\ntargets"
    text = text.replace("targets", second) if "sql2" in lookup else text
    config = written(tmp_path, text, one=SECRET, two=MONITOR_SECRET)
    async with Simulator(build_environment(config)) as simulator, Client(simulator) as client:
        for caller, secret in ((CLIENT, SECRET), (MONITOR, MONITOR_SECRET)):
            token = await client.token(client=caller, secret=secret)
            answer = await client.get(token, vault="ops.vault.azure.net", path=LISTED)
            assert (answer.status == 200) == (caller in may)
            if caller in may:
                (item,) = answer.json["value"]
                assert 300 < (item["attributes"]["exp"] - item["attributes"]["created"]) / 86400 < 400
                assert version(1) not in lookup or item["id"].endswith(version(1))


async def test_secret_and_key_may_share_a_vault(tmp_path):
    kept = "key_vault_secret: https://contoso-one.vault.azure.net/secrets/sql"
    config = written(tmp_path, CONFIGURATION.replace("LOOKUP", kept), one=SECRET, two=MONITOR_SECRET)
    vault = build_environment(config).vaults["contoso-one.vault.azure.net"]
    assert (sorted(vault.keys), sorted(vault.secrets)) == (["tdekey"], ["sql"])
    assert vault.permissions == {CLIENT: ALL_OPERATIONS | {SECRETS_LIST}}


async def test_repr_contains_no_secret_value(simulator):
    assert "marked-value" not in repr(simulator.state.environment)
