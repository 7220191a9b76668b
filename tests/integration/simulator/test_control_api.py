"""The management port: faults, counts, and requests of other sites."""

import aiohttp
import pytest

from exporter.simulator.faults import FAULTS
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import CLIENT, ENTRA, GRAPH, MANAGEMENT, OTHER, SECRET, SQL, TENANT, VAULT, Client


@pytest.fixture
async def curl(simulator):
    async with aiohttp.ClientSession(simulator.management_url) as session:

        async def send(method, path, body=None):
            async with session.request(method, path, data=body) as answer:
                return answer.status, await answer.json()

        yield send


async def test_fault_is_served_until_it_is_cleared(client, curl):
    token = await client.token()
    status, answer = await curl("POST", "/sim/fault", b'{"vault": "contoso-one", "fault": "throttled", "retry_after": 5}')
    assert (status, answer["set"][0]["vault"]) == (200, VAULT)
    refused = await client.get(token)
    assert (refused.status, refused.headers["Retry-After"], refused.error["code"]) == (429, "5", "Throttled")
    assert (await client.challenge()).status == 401
    assert (await client.get(token, vault=OTHER)).status == 200
    assert await curl("DELETE", "/sim/fault") == (200, {"cleared": 1})
    assert (await client.get(token)).status == 200


@pytest.mark.parametrize("name", ["sql-prod", CLIENT, CLIENT.replace("-", "").upper()])
async def test_application_is_found_by_id_and_by_credential_name(client, curl, name):
    await curl("POST", "/sim/fault", f'{{"application": "{name}", "fault": "secret_expired"}}'.encode())
    assert (await client.token_answer()).json["error_codes"] == [7000222]


async def test_tenant_and_sign_in_host_accept_faults(client, curl):
    await curl("POST", "/sim/fault", f'{{"tenant": "{TENANT}", "fault": "entra_throttled"}}'.encode())
    assert (await client.token_answer()).status == 429
    await curl("DELETE", "/sim/fault")
    await curl("POST", "/sim/fault", f'{{"authority": "{ENTRA}", "fault": "status", "status": 418, "body": "tea"}}'.encode())
    assert (await client.token_answer()).body == b"tea"


async def test_one_of_several_faults_is_cleared_by_its_number(client, curl):
    token = await client.token()
    _, first = await curl("POST", "/sim/fault", b'{"vault": "contoso-one", "fault": "slow", "seconds": 0}')
    await curl("POST", "/sim/fault", b'{"vault": "contoso-one", "scenario": "unwrap_forbidden"}')
    assert await curl("DELETE", f"/sim/fault?number={first['set'][0]['number']}") == (200, {"cleared": 1})
    assert (await client.operate(token, "unwrapkey", b"x" * 256)).status == 403
    assert await curl("DELETE", "/sim/fault?vault=contoso-two") == (200, {"cleared": 0})
    assert await curl("DELETE", "/sim/fault?vault=contoso-one&fault=permission_removed") == (200, {"cleared": 1})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"vault=contoso-one", "send a JSON object"),
        (b"[" * 100_000, "send a JSON object"),
        (b'{"vault": "contoso-one"}', "name either a fault or a scenario"),
        (b'{"fault": "throttled"}', "name one thing to break"),
        (b'{"vault": "contoso-one", "tenant": "x", "fault": "throttled"}', "name one thing to break"),
        (b'{"vault": "contoso-one", "fault": "throtled"}', "there is no fault 'throtled' (did you mean 'throttled'?)"),
        (b'{"vault": "contoso-one", "scenario": "host_offline"}', "its cause is the network: no network except loopback"),
        (b'{"vault": "contoso-onne", "fault": "throttled"}', "there is no vault 'contoso-onne'"),
        (b'{"vault": 1, "fault": "throttled"}', "not a string: vault"),
        (b'{"tenant": "11111111-2222-3333-4444-555555555555", "fault": "key_disabled"}', "can be set on: vault; not on: tenant"),
        (b'{"vault": "contoso-one", "fault": "throttled", "retry": 5}', "unknown: retry"),
        (b'{"vault": "contoso-one", "fault": "throttled", "retry_after": "5"}', "got `str` - at `$.retry_after`"),
        (b'{"vault": "contoso-one", "fault": "silent", "step": "wrap"}', "there is no step 'wrap'; there are: challenge, token"),
        (b'{"vault": "contoso-one", "fault": "silent", "step": [1]}', "there is no step [1]"),
        (b'{"vault": "contoso-one", "fault": "key_disabled", "key": null, "at": null}', "null, which is no value: at, key"),
        (b'{"vault": "contoso-one", "fault": "slow", "seconds": NaN}', "Expected `float` >= 0.0 - at `$.seconds`"),
        (b'{"vault": "contoso-one", "fault": "status", "at": "gt"}', "there is no operation 'gt'; there are: challenge"),
        (b'{"vault": "contoso-one", "scenario": "throttled", "retry_after": 5}', "a scenario takes no retry_after"),
        (b'{"vault": "contoso-one", "fault": "key_disabled", "key": "TdeKy"}', "there is no key 'TdeKy'"),
        (b'{"vault": "contoso-one", "fault": "key_disabled", "version": "0123"}', "there is no version '0123'"),
        (b'{"authority": "login.microsoftonline.com", "fault": "silent", "key": "TdeKey"}', "only a fault of a vault"),
        (b'{"graph": "graph.microsoft.cn", "fault": "silent"}', "there is no graph 'graph.microsoft.cn'"),
    ],
)
async def test_invalid_fault_is_refused_with_the_reason(simulator, curl, body, text):
    status, answer = await curl("POST", "/sim/fault", body)
    assert status == 400
    assert text in answer["error"]
    assert simulator.state.active == ()


@pytest.mark.parametrize("query", ["?number=x", f"?number={'9' * 5000}", "?what=1", "?vault=nothing"])
async def test_clear_with_an_invalid_query_is_refused(curl, query):
    assert (await curl("DELETE", f"/sim/fault{query}"))[0] == 400


async def test_state_lists_everything_except_secrets(simulator):
    simulator.apply("secret_expired", vault=VAULT)
    async with aiohttp.ClientSession() as session, session.get(f"{simulator.management_url}/sim/state") as answer:
        text = await answer.text()
    assert SECRET not in text
    assert all(name in text for name in (VAULT, TENANT, CLIENT, "sql-prod", "secret_expired"))


async def test_scenarios_faults_and_requests_are_listed(client, curl):
    await client.challenge()
    _, scenarios = await curl("GET", "/sim/scenarios")
    assert {"scenario": "throttled", "classic": 3011, "current": 3109}.items() <= next(
        row for row in scenarios["scenarios"] if row["scenario"] == "throttled"
    ).items()
    _, faults = await curl("GET", "/sim/faults")
    assert {"fault": "firewall", "broken": "the vault's firewall blocks the address", "set_on": ["vault"]} in faults["faults"]
    _, requests = await curl("GET", "/sim/requests")
    assert requests == {"requests": [{"host": VAULT, "operation": "challenge", "status": 401, "count": 1}]}


async def test_every_fault_is_set_and_cleared_on_each_scope(simulator):
    names = {
        "vault": VAULT,
        "tenant": TENANT,
        "application": CLIENT,
        "authority": ENTRA,
        "graph": GRAPH,
        "management": MANAGEMENT,
        "sql": SQL,
    }
    for fault in FAULTS.values():
        for scope in fault.scopes:
            simulator.set_fault(fault.name, **{scope: names[scope]})
    async with Client(simulator) as client:
        assert simulator.clear() == sum(len(fault.scopes) for fault in FAULTS.values())
        assert (await client.get(await client.token())).status == 200


FAULT = b'{"vault": "contoso-one", "fault": "throttled"}'
JSON = {"Content-Type": "application/json"}
REQUESTS = [("POST", "/sim/fault"), ("DELETE", "/sim/fault"), ("POST", "/sim/reload"), ("GET", "/sim/state")]


@pytest.fixture
async def faulted():
    async with Simulator(small_environment()) as made:
        made.set_fault("silent", vault="contoso-two")
        yield made


@pytest.fixture
async def send(faulted):
    """Send a request with these headers and return the status. `PORT` in a header is the port of the simulator."""
    async with aiohttp.ClientSession(faulted.management_url) as session:

        async def sent(method, path, headers, body=FAULT):
            port = faulted.management_url.rpartition(":")[2]
            filled = {name: value.replace("PORT", port) for name, value in headers.items()}
            async with session.request(method, path, data=body, headers=filled) as answer:
                return answer.status

        yield sent


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": "http://evil.example:PORT", "Host": "evil.example:PORT"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:PORT"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example:PORT"},
        *(
            {"Host": host}
            for host in ("rebound.example:PORT", "127.0.0.1.rebound.example", "localhost.rebound.example", "10.0.0.1", "")
        ),
    ],
)
@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_control_api_refuses_requests_of_other_sites(faulted, send, method, path, headers):
    before = faulted.state.active
    assert await send(method, path, JSON | headers) == 403
    assert faulted.state.active == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain; charset=utf-8", "Text/Plain", "multipart/form-data; boundary=x"]
)
async def test_control_api_refuses_json_that_a_form_can_send(faulted, send, content_type):
    before = faulted.state.active
    assert await send("POST", "/sim/fault", {"Content-Type": content_type}) == 415
    assert faulted.state.active == before


@pytest.mark.parametrize(
    "headers",
    [
        JSON,
        {"Content-Type": "application/x-www-form-urlencoded"},  # what curl -d sends
        JSON | {"Host": "localhost:PORT"},
        JSON | {"Host": "[::1]:PORT"},
        JSON | {"Origin": "http://127.0.0.1:PORT", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_control_api_serves_programs_and_its_own_pages(faulted, send, headers):
    assert await send("POST", "/sim/fault", headers) == 200
    assert len(faulted.state.active) == 2
