"""Lookups through the real SDK against the simulator's Entra, Microsoft Graph and Key Vault."""

import time

import pytest

from exporter.core.values import CredentialKind
from exporter.knowledge.expiry import Source
from exporter.simulator.environment import ClientSecret, SimulatedSecretVersion, Versioned
from tests.support.expiry_simulated import (
    CERTIFIED_CLIENT,
    CLIENT,
    GRAPH,
    MONITOR,
    OPS,
    SECRET,
    TENANT,
    TYPED_CLIENT,
    VAULT,
    by_source,
)
from tests.support.swallowing import VARIABLES, swallowing
from tests.support.values import replace

NOW = float(int(time.time()))
MONTH = 30 * 86400.0


def keep(expiry_harness, *versions):
    kept = {"sql-prod": Versioned(name="sql-prod", versions=versions)}
    expiry_harness.simulator.state.change_vault(OPS, lambda vault: replace(vault, secrets=kept))


def version(digit, **more):
    return SimulatedSecretVersion(version=digit * 32, value="marked-value", **more)


async def test_graph_returns_the_expiry_of_the_secret(expiry_harness):
    expiry_harness.secrets_of(
        CLIENT, ClientSecret(value="another-secret", expires=NOW + 1), ClientSecret(value=SECRET, expires=NOW + 3 * MONTH)
    )
    end = by_source(await expiry_harness.monitor().look_up("sql"))["graph"]
    assert (end.expires_at, end.failure) == (NOW + 3 * MONTH, "")
    assert NOW <= end.looked_up_at <= time.time()
    assert expiry_harness.recorded.reported[0][:3] in [
        ("sql", Source.GRAPH, NOW + 3 * MONTH),
        ("sql", Source.KEY_VAULT, expiry_harness.recorded.reported[0][2]),
    ]


async def test_certificate_is_found_in_file_and_graph(expiry_harness, principal):
    not_after = float(int(principal.certificate.not_valid_after_utc.timestamp()))
    ends = by_source(await expiry_harness.monitor().look_up("cert"))
    assert {name: end.expires_at for name, end in ends.items()} == {"certificate": not_after, "graph": not_after}


async def test_only_the_lookup_credential_signs_in(expiry_harness):
    await expiry_harness.monitor().look_up("sql")
    assert expiry_harness.requested("entra") == 2  # for Graph and for the vault, both as monitor
    expiry_harness.simulator.state.change_application(MONITOR, lambda application: replace(application, secrets=()))
    ends = by_source(await expiry_harness.monitor().look_up("sql"))
    assert "AADSTS7000215" in ends["graph"].failure
    assert "no token for monitor" in ends["graph"].failure
    assert "no token for monitor" in ends["key_vault"].failure


async def test_swallowed_identity_request_names_its_endpoint(expiry_harness, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("exporter.probing.expiry.LOOKUP_SECONDS", 1.0)
    monitor = expiry_harness.config.credentials["monitor"]
    identity = replace(monitor, kind=CredentialKind.MANAGED_IDENTITY, client_id=None, secret=None)
    config = replace(expiry_harness.config, credentials={**expiry_harness.config.credentials, "monitor": identity})
    async with swallowing() as endpoint:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://{endpoint}")
        end = by_source(await expiry_harness.monitor(config).look_up("sql"))["graph"]
    assert end.failure == f"no token for monitor: identity endpoint {endpoint}: identity unavailable"


async def test_lookups_share_a_token(expiry_harness):
    monitor = expiry_harness.monitor()
    for name in ("sql", "typed", "cert"):
        await monitor.look_up(name)
    assert expiry_harness.requested("graph") == 3
    assert expiry_harness.requested("entra") == 2
    assert expiry_harness.requested("vault") == 2
    assert expiry_harness.requests_to(GRAPH) == {("graph", 200): 3}
    assert sum(expiry_harness.requests_to(OPS).values()) == 2
    assert not expiry_harness.requests_to(VAULT)


async def test_versions_on_every_page_are_read(expiry_harness):
    keep(
        expiry_harness,
        *(SimulatedSecretVersion(version=f"{n:032x}", value="v", created=NOW - 99 + n, exp=NOW + n) for n in range(80)),
    )
    assert by_source(await expiry_harness.monitor().look_up("sql"))["key_vault"].expires_at == NOW + 79
    assert expiry_harness.requests_to(OPS) == {("challenge", 401): 1, ("secret_versions", 200): 4}


async def test_lookup_never_reads_the_secret_value(expiry_harness, set_up):
    await expiry_harness.monitor().look_up("sql")
    for digit in "12":
        keep(expiry_harness, version(digit, created=NOW, exp=NOW + MONTH))
        await expiry_harness.monitor().look_up("sql")
    named = await set_up(("/secrets/sql-prod", f"/secrets/sql-prod/{'1' * 32}"))
    await named.monitor().look_up("sql")
    for one in (expiry_harness, named):
        assert {operation for _, operation, _ in one.simulator.requests} == {"challenge", "token", "graph", "secret_versions"}


async def test_key_vault_secret_can_have_its_own_credential(set_up):
    expiry_harness = await set_up(
        ("graph_credential: monitor, key_vault_secret", "key_vault_credential: typed, key_vault_secret"),
    )
    monitor = expiry_harness.monitor()
    ends = by_source(await monitor.look_up("sql"))
    assert set(ends) == {"key_vault"}
    assert ends["key_vault"].expires_at > NOW
    expiry_harness.secrets_of(TYPED_CLIENT)
    assert "no token for typed" in by_source(await expiry_harness.monitor().look_up("sql"))["key_vault"].failure


async def test_missing_tenant_is_that_of_the_vault(set_up):
    expiry_harness = await set_up((f"tenant_id: {TENANT}, ", ""))
    monitor = expiry_harness.monitor()
    assert "tenant is not known" in by_source(await monitor.look_up("sql"))["graph"].failure
    assert not expiry_harness.requests_to(GRAPH)
    tenant = next(iter(expiry_harness.simulator.state.environment.tenants))
    expiry_harness.tenants["one"] = tenant
    assert by_source(await monitor.look_up("sql"))["graph"].failure == ""


# Failures.


@pytest.mark.parametrize(
    ("fault", "on", "source", "expected"),
    [
        ("graph_permission_removed", {"application": MONITOR}, "graph", "Application.Read.All"),
        ("graph_throttled", {"graph": GRAPH}, "graph", "HTTP 429 (TooManyRequests)"),
        ("html", {"graph": GRAPH}, "graph", "answer not json"),
        ("secret_wrong", {"application": MONITOR}, "graph", "AADSTS7000215"),
    ],
)
async def test_failed_lookup_has_a_reason_and_keeps_the_expiry(expiry_harness, fault, on, source, expected):
    monitor = expiry_harness.monitor()
    before = by_source(await monitor.look_up("sql"))[source]
    expiry_harness.simulator.set_fault(fault, **on)
    monitor._lookup._tokens._fetches.clear()  # the shared token would still serve
    after = by_source(await monitor.look_up("sql"))[source]
    assert expected in after.failure
    assert before.expires_at is not None
    assert (after.expires_at, after.looked_up_at, before.failure) == (before.expires_at, before.looked_up_at, "")


async def test_forbidden_list_names_the_missing_permission(expiry_harness):
    expiry_harness.simulator.state.change_vault(OPS, lambda vault: replace(vault, permissions={}))
    end = by_source(await expiry_harness.monitor().look_up("sql"))["key_vault"]
    assert "HTTP 403 (Forbidden, ForbiddenByPolicy)" in end.failure
    assert "secrets/readMetadata" in end.failure


async def test_unknown_client_id_is_no_answer(set_up):
    expiry_harness = await set_up((f"client_id: {CERTIFIED_CLIENT}", "client_id: 66666666-7777-8888-9999-00000000dead"))
    tenant = expiry_harness.simulator.state.environment.tenants[TENANT]
    others = {name: one for name, one in tenant.applications.items() if not name.endswith("dead")}
    expiry_harness.simulator.state.environment = replace(
        expiry_harness.simulator.state.environment, tenants={TENANT: replace(tenant, applications=others)}
    )
    expiry_harness.simulator.state._clear_views()
    end = by_source(await expiry_harness.monitor().look_up("cert"))["graph"]
    assert (end.expires_at, end.looked_up_at) == (None, None)
    assert "no application and no service principal" in end.failure
    assert expiry_harness.requests_to(GRAPH) == {("graph", 404): 2}


async def test_unreachable_vault_is_named(expiry_harness):
    modules = {name: replace(module, connect_to={}) for name, module in expiry_harness.config.modules.items()}
    dead = {f"{host}:443": "127.0.0.1:1" for host in (OPS, GRAPH, "login.microsoftonline.com")}
    modules = {name: replace(module, connect_to=dead) for name, module in modules.items()}
    ends = by_source(await expiry_harness.monitor(replace(expiry_harness.config, modules=modules)).look_up("sql"))
    assert ends["key_vault"].failure == f"the vault {OPS}: connect refused"
    assert ends["graph"].failure == "no token for monitor: Entra: connect refused"
