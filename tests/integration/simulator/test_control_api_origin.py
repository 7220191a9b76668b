"""Requests of other web sites to a simulator on the same host."""

import aiohttp
import pytest

from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import small_environment

FAULT = b'{"vault": "contoso-one", "fault": "throttled"}'
JSON = {"Content-Type": "application/json"}
REQUESTS = [("POST", "/sim/fault"), ("DELETE", "/sim/fault"), ("POST", "/sim/reload"), ("GET", "/sim/state")]


@pytest.fixture
async def simulator():
    async with Simulator(small_environment()) as made:
        made.set_fault("silent", vault="contoso-two")
        yield made


@pytest.fixture
async def send(simulator):
    """Send a request with these headers and return the status. `PORT` in a header is the port of the simulator."""
    async with aiohttp.ClientSession(simulator.management_url) as session:

        async def sent(method, path, headers, body=FAULT):
            port = simulator.management_url.rpartition(":")[2]
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
    ],
)
@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_control_api_refuses_requests_of_other_sites(simulator, send, method, path, headers):
    before = simulator.state.active
    assert await send(method, path, JSON | headers) == 403
    assert simulator.state.active == before


@pytest.mark.parametrize(
    "host", ["rebound.example:PORT", "127.0.0.1.rebound.example", "localhost.rebound.example", "10.0.0.1", ""]
)
@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_control_api_refuses_foreign_host_names(simulator, send, method, path, host):
    before = simulator.state.active
    assert await send(method, path, JSON | {"Host": host}) == 403
    assert simulator.state.active == before


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/plain; charset=utf-8", "Text/Plain", "multipart/form-data; boundary=x"]
)
async def test_control_api_refuses_json_that_a_form_can_send(simulator, send, content_type):
    before = simulator.state.active
    assert await send("POST", "/sim/fault", {"Content-Type": content_type}) == 415
    assert simulator.state.active == before


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
async def test_control_api_serves_programs_and_its_own_pages(simulator, send, headers):
    assert await send("POST", "/sim/fault", headers) == 200
    assert len(simulator.state.active) == 2
