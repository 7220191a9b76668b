"""Lists of key versions."""

import pytest

from exporter.simulator.environment import Key, SimulatedKeyVersion
from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import VAULT

NAME, COUNT = "ListedKey", 60


def version(number):
    return f"{number * 7919 % 65536:04x}" * 8


@pytest.fixture
async def simulator():
    versions = tuple(SimulatedKeyVersion(version=version(n), enabled=n % 2 == 0, exp=1.9e9) for n in range(COUNT))
    async with Simulator(small_environment(Key(name=NAME, versions=versions))) as simulator:
        yield simulator


async def test_key_versions_are_listed_in_pages_without_material(client):
    pages = [page async for page in client.pages(await client.token(), f"/keys/{NAME}/versions")]
    assert [len(page) for page in pages] == [25, 25, 10]
    items = [item for page in pages for item in page]
    assert {item["kid"] for item in items} == {f"https://{VAULT}/keys/{NAME}/{version(n)}" for n in range(COUNT)}
    assert {item["attributes"]["enabled"] for item in items} == {True, False}
    assert {item["attributes"]["exp"] for item in items} == {1900000000}
    assert all(set(item) == {"kid", "attributes", "tags"} for item in items)


async def test_missing_key_has_no_versions(client):
    assert [page async for page in client.pages(await client.token(), "/keys/Missing/versions")] == [[]]


async def test_list_of_versions_needs_the_list_permission(client, simulator):
    simulator.set_fault("permission_removed", Options(operation="list"), vault=VAULT)
    refused = await client.get(await client.token(), path=f"/keys/{NAME}/versions")
    assert (refused.status, refused.error["innererror"]["code"]) == (403, "ForbiddenByPolicy")
    assert simulator.requests[VAULT, "key_versions", 403] == 1
