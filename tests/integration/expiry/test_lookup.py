"""Look-ups through the real SDK: Entra, Microsoft Graph and Key Vault as the simulator imitates them."""

import time
from dataclasses import replace

import pytest

from exporter.core.credential_expiry import Source
from exporter.simulator.model import ClientSecret, Secret, SecretVersion
from tests.support.expiry_simulated import (
    CERTIFIED_CLIENT,
    CLIENT,
    GRAPH,
    MONITOR,
    MONITOR_SECRET,
    OPS,
    SECRET,
    TENANT,
    TYPED_CLIENT,
    TYPED_SECRET,
    VAULT,
    by_source,
)

NOW = float(int(time.time()))
MONTH = 30 * 86400.0


def keep(scene, *versions):
    kept = {"sql-prod": Secret(name="sql-prod", versions=versions)}
    scene.simulator.change_vault(OPS, lambda vault: replace(vault, secrets=kept))


def version(digit, **more):
    return SecretVersion(version=digit * 32, value="marked-value", **more)


async def test_graph_says_when_the_configured_secret_ends(scene):
    scene.secrets_of(
        CLIENT, ClientSecret(value="another-secret", expires=NOW + 1), ClientSecret(value=SECRET, expires=NOW + 3 * MONTH)
    )
    end = by_source(await scene.monitor().look_up("sql"))["graph"]
    assert (end.expires_at, end.failure) == (NOW + 3 * MONTH, "")
    assert NOW <= end.looked_up_at <= time.time()
    assert scene.recorded.reported[0][:3] in [
        ("sql", Source.GRAPH, NOW + 3 * MONTH),
        ("sql", Source.KEY_VAULT, scene.recorded.reported[0][2]),
    ]


async def test_of_the_credential_string_the_part_behind_the_client_id_is_compared(scene):
    scene.secrets_of(TYPED_CLIENT, ClientSecret(value=TYPED_SECRET, expires=NOW + MONTH))
    assert by_source(await scene.monitor().look_up("typed"))["graph"].expires_at == NOW + MONTH


async def test_a_certificate_is_found_at_graph_by_its_thumbprint_and_in_its_file(scene, principal):
    not_after = float(int(principal.certificate.not_valid_after_utc.timestamp()))
    ends = by_source(await scene.monitor().look_up("cert"))
    assert {name: end.expires_at for name, end in ends.items()} == {"certificate": not_after, "graph": not_after}


async def test_a_secret_that_the_service_principal_keeps_is_found_there(scene):
    scene.secrets_of(
        CLIENT, ClientSecret(value="another-secret"), ClientSecret(value=SECRET, expires=NOW + MONTH, of_principal=True)
    )
    assert by_source(await scene.monitor().look_up("sql"))["graph"].expires_at == NOW + MONTH
    assert scene.asked(GRAPH) == {("graph", 200): 2}


async def test_the_asking_identity_alone_signs_in(scene):
    await scene.monitor().look_up("sql")
    assert scene.requested("entra") == 2  # for Graph and for the vault, both as monitor
    scene.simulator.change_application(MONITOR, lambda application: replace(application, secrets=()))
    ends = by_source(await scene.monitor().look_up("sql"))
    assert "AADSTS7000215" in ends["graph"].failure
    assert "no token for monitor" in ends["graph"].failure
    assert "no token for monitor" in ends["key_vault"].failure


async def test_look_ups_share_a_token_and_ask_once_each(scene):
    monitor = scene.monitor()
    for name in ("sql", "typed", "cert"):
        await monitor.look_up(name)
    assert scene.requested("graph") == 3
    assert scene.requested("entra") == 2
    assert scene.requested("vault") == 2
    assert scene.asked(GRAPH) == {("graph", 200): 3}
    assert sum(scene.asked(OPS).values()) == 2
    assert not scene.asked(VAULT)


async def test_the_newest_enabled_version_counts(scene):
    keep(
        scene,
        version("1", created=NOW - 9, exp=NOW + 9 * MONTH),
        version("2", created=NOW - 5, exp=NOW + 5 * MONTH),
        version("3", created=NOW - 1, exp=NOW + MONTH, enabled=False),
    )
    assert by_source(await scene.monitor().look_up("sql"))["key_vault"].expires_at == NOW + 5 * MONTH


async def test_a_version_that_the_configuration_names_counts(set_up):
    scene = await set_up(("/secrets/sql-prod", f"/secrets/sql-prod/{'1' * 32}"))
    keep(scene, version("1", created=NOW - 9, exp=NOW + 9 * MONTH), version("2", created=NOW - 5, exp=NOW + 5 * MONTH))
    assert by_source(await scene.monitor().look_up("sql"))["key_vault"].expires_at == NOW + 9 * MONTH


async def test_versions_on_every_page_are_seen(scene):
    keep(scene, *(SecretVersion(version=f"{n:032x}", value="v", created=NOW - 99 + n, exp=NOW + n) for n in range(80)))
    assert by_source(await scene.monitor().look_up("sql"))["key_vault"].expires_at == NOW + 79
    assert scene.asked(OPS) == {("challenge", 401): 1, ("secret_versions", 200): 4}


async def test_a_list_without_end_is_given_up(scene):
    keep(scene, *(SecretVersion(version=f"{n:032x}", value="v") for n in range(300)))
    end = by_source(await scene.monitor().look_up("sql"))["key_vault"]
    assert (end.expires_at, end.looked_up_at) == (None, None)
    assert "body too large" in end.failure
    assert scene.asked(OPS)["secret_versions", 200] == 10


async def test_no_request_ever_goes_to_the_secret_itself(scene, set_up):
    await scene.monitor().look_up("sql")
    for digit in "12":
        keep(scene, version(digit, created=NOW, exp=NOW + MONTH))
        await scene.monitor().look_up("sql")
    named = await set_up(("/secrets/sql-prod", f"/secrets/sql-prod/{'1' * 32}"))
    await named.monitor().look_up("sql")
    for one in (scene, named):
        assert {operation for _, operation, _ in one.simulator.requests} == {"challenge", "token", "graph", "secret_versions"}


async def test_a_key_vault_secret_can_be_read_with_an_identity_of_its_own(set_up):
    scene = await set_up(
        ("graph_credential: monitor, key_vault_secret", "key_vault_credential: typed, key_vault_secret"),
    )
    monitor = scene.monitor()
    ends = by_source(await monitor.look_up("sql"))
    assert set(ends) == {"key_vault"}
    assert ends["key_vault"].expires_at > NOW
    scene.secrets_of(TYPED_CLIENT)
    assert "no token for typed" in by_source(await scene.monitor().look_up("sql"))["key_vault"].failure


async def test_a_credential_without_another_identity_reads_the_dates_of_its_secret_by_itself(set_up):
    scene = await set_up(("graph_credential: monitor, key_vault_secret", "key_vault_secret"))
    assert by_source(await scene.monitor().look_up("sql"))["key_vault"].expires_at > NOW


async def test_without_a_tenant_in_the_configuration_the_one_of_the_vault_is_asked(set_up):
    scene = await set_up((f"tenant_id: {TENANT}, ", ""))
    monitor = scene.monitor()
    assert "tenant is not known" in by_source(await monitor.look_up("sql"))["graph"].failure
    assert not scene.asked(GRAPH)
    tenant = next(iter(scene.simulator.world.estate.tenants))
    scene.tenants["one"] = tenant
    assert by_source(await monitor.look_up("sql"))["graph"].failure == ""


@pytest.mark.parametrize(
    ("vault", "graph", "entra"),
    [
        ("contoso.vault.usgovcloudapi.net", "graph.microsoft.us", "login.microsoftonline.us"),
        ("contoso.vault.azure.cn", "microsoftgraph.chinacloudapi.cn", "login.partner.microsoftonline.cn"),
    ],
)
async def test_another_cloud_has_its_own_graph_and_sign_in(set_up, vault, graph, entra):
    scene = await set_up(
        ("vault: contoso-one, key: TdeKey", f"vault: {vault}, key: TdeKey"),
        (f', key_vault_secret: "https://{OPS}/secrets/sql-prod"', ""),
    )
    scene.secrets_of(CLIENT, ClientSecret(value=SECRET, expires=NOW + MONTH))
    assert by_source(await scene.monitor().look_up("sql"))["graph"].expires_at == NOW + MONTH
    assert set(scene.asked(graph)) == {("graph", 200)}
    assert set(scene.asked(entra)) == {("token", 200)}


# what stands in the way


@pytest.mark.parametrize(
    ("fault", "on", "source", "expected"),
    [
        ("graph_permission_removed", {"application": MONITOR}, "graph", "Application.Read.All"),
        ("graph_throttled", {"graph": GRAPH}, "graph", "HTTP 429 (TooManyRequests)"),
        ("html", {"graph": GRAPH}, "graph", "answer not json"),
        ("secret_wrong", {"application": MONITOR}, "graph", "AADSTS7000215"),
    ],
)
async def test_a_failed_look_up_says_why_and_keeps_what_was_known(scene, fault, on, source, expected):
    monitor = scene.monitor()
    before = by_source(await monitor.look_up("sql"))[source]
    scene.simulator.set_fault(fault, **on)
    monitor._lookup._tokens._entries.clear()  # the shared token would still serve
    after = by_source(await monitor.look_up("sql"))[source]
    assert expected in after.failure
    assert before.expires_at is not None
    assert (after.expires_at, after.looked_up_at, before.failure) == (before.expires_at, before.looked_up_at, "")


async def test_a_vault_that_forbids_the_list_says_which_permission_is_missing(scene):
    scene.simulator.change_vault(OPS, lambda vault: replace(vault, permissions={}))
    end = by_source(await scene.monitor().look_up("sql"))["key_vault"]
    assert "HTTP 403 (Forbidden, ForbiddenByPolicy)" in end.failure
    assert "secrets/readMetadata" in end.failure


async def test_a_secret_that_is_not_kept_there_says_so(scene):
    scene.simulator.change_vault(OPS, lambda vault: replace(vault, secrets={}))
    end = by_source(await scene.monitor().look_up("sql"))["key_vault"]
    assert (end.expires_at, end.looked_up_at is None) == (None, False)
    assert "no version" in end.failure


async def test_an_application_that_lists_no_such_secret_says_so_and_nothing_is_known(scene):
    scene.secrets_of(CLIENT, ClientSecret(value="another-secret", expires=NOW + MONTH))
    end = by_source(await scene.monitor().look_up("sql"))["graph"]
    assert (end.expires_at, end.looked_up_at is None) == (None, False)
    assert "no secret that begins like" in end.failure


async def test_a_client_id_that_the_tenant_does_not_know_is_no_answer(set_up):
    scene = await set_up((f"client_id: {CERTIFIED_CLIENT}", "client_id: 66666666-7777-8888-9999-00000000dead"))
    tenant = scene.simulator.world.estate.tenants[TENANT]
    others = {name: one for name, one in tenant.applications.items() if not name.endswith("dead")}
    scene.simulator.world.estate = replace(scene.simulator.world.estate, tenants={TENANT: replace(tenant, applications=others)})
    scene.simulator.world._forget_views()
    end = by_source(await scene.monitor().look_up("cert"))["graph"]
    assert (end.expires_at, end.looked_up_at) == (None, None)
    assert "no application and no service principal" in end.failure
    assert scene.asked(GRAPH) == {("graph", 404): 2}


async def test_a_vault_that_cannot_be_reached_is_named(scene):
    modules = {name: replace(module, connect_to={}) for name, module in scene.config.modules.items()}
    dead = {f"{host}:443": "127.0.0.1:1" for host in (OPS, GRAPH, "login.microsoftonline.com")}
    modules = {name: replace(module, connect_to=dead) for name, module in modules.items()}
    ends = by_source(await scene.monitor(replace(scene.config, modules=modules)).look_up("sql"))
    assert ends["key_vault"].failure == f"the vault {OPS}: connect refused"
    assert ends["graph"].failure == "no token for monitor: Entra: connect refused"


async def test_a_secret_of_the_monitor_that_cannot_be_read_is_said(scene):
    (scene.folder / "monitor").unlink()
    end = by_source(await scene.monitor().look_up("sql"))["graph"]
    assert end.failure == "no token for monitor: Entra: secret unreadable"
    assert MONITOR_SECRET not in end.failure
