"""Azure Resource Graph in the simulator: the vaults of the caller's tenant, page by page, and its refusals."""

import pytest

from exporter.inventory.azure_plan import QUERY
from exporter.simulator.graph import MANAGEMENT_ERRORS
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import CLIENT, HSM, MANAGEMENT, OTHER, TENANT, VAULT, Client
from tests.support.values import replace

RESOURCE = f"https://{MANAGEMENT}"


async def query(client, token=None, *, path="/providers/Microsoft.ResourceGraph/resources", **body):
    token = token or await client.token(resource=RESOURCE)
    return await client.request(
        "POST",
        f"https://{MANAGEMENT}{path}?api-version=2021-03-01",
        headers={"Authorization": f"Bearer {token}"} if token != "none" else {},
        json={"query": QUERY} | body,
    )


async def test_vaults_and_managed_hsms_are_listed(client):
    answer = (await query(client)).json
    assert [row["uri"] for row in answer["data"]] == [f"https://{host}/" for host in (HSM, VAULT, OTHER)]
    assert {row["type"] for row in answer["data"]} == {"microsoft.keyvault/vaults", "microsoft.keyvault/managedhsms"}
    assert (answer["totalRecords"], answer["count"], answer["resultTruncated"]) == (3, 3, "false")
    assert "$skipToken" not in answer


async def test_pages_follow_from_the_skip_token(client):
    first = (await query(client, options={"$top": 2})).json
    assert (first["count"], first["totalRecords"], first["resultTruncated"]) == (2, 3, "true")
    rest = (await query(client, options={"$top": 2, "$skipToken": first["$skipToken"]})).json
    assert [row["name"] for row in rest["data"]] == ["contoso-two"]
    assert (await query(client, options={"$skipToken": "?"})).status == 400
    assert (await query(client, options={"$top": 1001})).status == 400


async def test_subscription_limits_the_list(client, simulator):
    mine = simulator.state.environment.vaults[VAULT].subscription_id
    assert (await query(client, subscriptions=[mine])).json["count"] == 3
    refused = await query(client, subscriptions=["00000000-0000-0000-0000-000000000000"])
    assert (refused.status, refused.error["details"][0]["code"]) == (400, "NoValidSubscriptionsInQueryRequest")


async def test_caller_without_a_role_sees_no_subscription(client, simulator):
    simulator.set_fault("azure_role_removed", application=CLIENT)
    assert (await query(client)).error["details"][0]["code"] == "NoValidSubscriptionsInQueryRequest"


@pytest.mark.parametrize("name", list(MANAGEMENT_ERRORS))
async def test_each_error_has_its_status(client, simulator, name):
    simulator.set_fault(f"resource_graph_{name}", management=MANAGEMENT)
    answer = await query(client)
    assert (answer.status, answer.error["code"]) == (MANAGEMENT_ERRORS[name].status, MANAGEMENT_ERRORS[name].code)
    assert ("Retry-After" in answer.headers) == (answer.status == 429)


async def test_other_tenants_have_no_part_in_the_list():
    elsewhere = small_environment(tenant_id="0d9e7c5b-3a1f-4e8d-9c6b-7a5f3e1d0b2c")
    async with Simulator(elsewhere) as simulator, Client(simulator) as client:
        assert [row["name"] for row in (await query(client)).json["data"]] == ["contoso-hsm", "contoso-two"]


def test_management_host_is_served_for_the_clouds_of_the_vaults():
    environment = small_environment()
    assert environment.management_hosts == (MANAGEMENT,)
    gov = replace(environment.vaults[VAULT], host="a.vault.usgovcloudapi.net")
    private = replace(environment.vaults[VAULT], host="vault.example")
    environment = replace(environment, vaults={vault.host: vault for vault in (gov, private)})
    assert environment.management_hosts == ("management.usgovcloudapi.net",)
    assert TENANT in environment.tenants
