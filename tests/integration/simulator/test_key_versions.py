"""Lists of key versions, and connections that are lost between two requests."""

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from exporter.simulator import Simulator
from exporter.simulator.faults import Options
from exporter.simulator.model import Key, KeyVersion
from tests.support.simulated_environment import small_environment
from tests.support.simulator_client import VAULT, Client

NAME, COUNT = "ListedKey", 60


def version(number):
    return f"{number * 7919 % 65536:04x}" * 8


@pytest.fixture
async def simulator():
    environment = small_environment()
    versions = tuple(KeyVersion(version=version(n), enabled=n % 2 == 0, exp=1.9e9) for n in range(COUNT))
    vault = environment.vaults[VAULT]
    vault = replace(vault, keys={**vault.keys, NAME.lower(): Key(name=NAME, versions=versions)})
    async with Simulator(replace(environment, vaults={**environment.vaults, VAULT: vault})) as simulator:
        yield simulator


@pytest.fixture
async def client(simulator):
    async with Client(simulator) as made:
        yield made


async def listed(client, token, name=NAME, query="?api-version=7.4"):
    path, found = f"/keys/{name}/versions", []
    while True:
        page = (await client.get(token, path=path, query=query)).json
        found.append(page["value"])
        if page["nextLink"] is None:
            return found
        link = urlsplit(page["nextLink"])
        path, query = link.path, "?" + link.query


async def test_key_versions_are_listed_in_pages_without_material(client):
    pages = await listed(client, await client.token())
    assert [len(page) for page in pages] == [25, 25, 10]
    items = [item for page in pages for item in page]
    assert {item["kid"] for item in items} == {f"https://{VAULT}/keys/{NAME}/{version(n)}" for n in range(COUNT)}
    assert {item["attributes"]["enabled"] for item in items} == {True, False}
    assert {item["attributes"]["exp"] for item in items} == {1900000000}
    assert all(set(item) == {"kid", "attributes", "tags"} for item in items)


async def test_missing_key_has_no_versions(client):
    assert await listed(client, await client.token(), name="Missing") == [[]]


async def test_list_of_versions_needs_the_list_permission(client, simulator):
    simulator.set_fault("permission_removed", Options(operation="list"), vault=VAULT)
    refused = await client.get(await client.token(), path=f"/keys/{NAME}/versions")
    assert (refused.status, refused.error["innererror"]["code"]) == (403, "ForbiddenByPolicy")
    assert simulator.requests[VAULT, "key_versions", 403] == 1
