"""Faults of one key, one key version or one operation; lists of key versions."""

import pytest

from exporter.simulator.environment import Key, SimulatedKeyVersion
from exporter.simulator.faults import Options
from exporter.simulator.simulator import Simulator
from tests.support.simulated_environment import LATER, small_environment
from tests.support.simulator_client import KEY, VAULT, VERSION

SECOND = "0123456789abcdef0123456789abcd03"
ONLY = Options(version=VERSION)
DAY = 86400
LISTED, COUNT = "ListedKey", 60


def listed_version(number):
    return f"{number * 7919 % 65536:04x}" * 8


@pytest.fixture
def now():
    return [1_800_000_000.0]


@pytest.fixture
async def simulator(now):
    second = Key(name="Second", versions=(SimulatedKeyVersion(version=SECOND, material=2),))
    versions = (SimulatedKeyVersion(version=listed_version(n), enabled=n % 2 == 0, exp=1.9e9) for n in range(COUNT))
    listed = Key(name=LISTED, versions=tuple(versions))
    async with Simulator(small_environment(second, listed), clock=lambda: now[0]) as simulator:
        yield simulator


async def statuses(client, *, operation="wrapkey"):
    """The statuses of GET and of an operation for both versions of the first key and for the second key."""
    token = await client.token()
    found = []
    for key, version in ((KEY, VERSION), (KEY, LATER), ("Second", SECOND)):
        get = await client.get(token, path=f"/keys/{key}/{version}")
        done = await client.operate(token, operation, b"x" * 32, key=key, version=version)
        found.append((get.status, done.status))
    return found


@pytest.mark.parametrize(
    "fault", ["key_disabled", "key_expired", "key_not_yet_valid", "key_disabled_without_reason", "key_type_ec"]
)
async def test_fault_of_one_version_spares_other_versions(client, simulator, fault):
    simulator.set_fault(fault, ONLY, vault=VAULT)
    assert await statuses(client) == [(200, 403), (200, 200), (200, 200)]
    simulator.clear()
    assert await statuses(client) == [(200, 200)] * 3


async def test_one_version_has_its_own_operations_and_size(client, simulator):
    simulator.set_fault("key_operation_removed", Options(version=VERSION, operation="wrapKey"), vault=VAULT)
    assert await statuses(client) == [(200, 403), (200, 200), (200, 200)]
    simulator.set_fault("key_size", Options(version=LATER, bits=1024), vault=VAULT)
    token = await client.token()
    sizes = [len((await client.get(token, path=f"/keys/{KEY}/{version}")).json["key"]["n"]) for version in (VERSION, LATER)]
    assert sizes == [342, 171]


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        *(("key_soft_deleted", options) for options in (Options(key="tdekey"), ONLY)),  # a deleted key loses all its versions
        *((fault, Options(key=KEY)) for fault in ("key_purged", "versions_replaced")),
    ],
)
async def test_removal_of_one_key_spares_the_other(client, simulator, fault, options):
    simulator.set_fault(fault, options, vault=VAULT)
    assert [get for get, _ in await statuses(client)] == [404, 404, 200]


async def test_changed_response_affects_one_version_only(client, simulator):
    simulator.set_fault("vault_key_disabled", Options(version=LATER, at="unwrapKey"), vault=VAULT)
    assert await statuses(client, operation="unwrapkey") == [(200, 400), (200, 403), (200, 400)]
    simulator.clear()
    simulator.set_fault("throttled", Options(key="second"), vault=VAULT)
    assert await statuses(client) == [(200, 200), (200, 200), (429, 429)]


async def test_get_newest_has_its_own_faults_and_counts(client, simulator):
    simulator.set_fault("status", Options(at="get_newest", status=503), vault=VAULT)
    token = await client.token()
    assert (await client.get(token)).status == 200
    assert (await client.get(token, path=f"/keys/{KEY}")).status == 503
    assert simulator.requests[VAULT, "get", 200] == simulator.requests[VAULT, "get_newest", 503] == 1


async def test_deleted_key_keeps_the_dates_of_its_deletion(client, simulator, now):
    simulator.apply("key_soft_deleted", vault=VAULT, key=KEY)
    now[0] += 10 * DAY
    deleted = await client.get(await client.token(), path=f"/deletedkeys/{KEY}")
    assert (deleted.json["deletedDate"], deleted.json["scheduledPurgeDate"]) == (1_800_000_000, 1_800_000_000 + 90 * DAY)
    assert simulator.requests[VAULT, "get_deleted", 200] == 1


async def test_deleted_key_requires_the_get_permission(client, simulator):
    token = await client.token()
    simulator.apply("key_soft_deleted", vault=VAULT)
    simulator.set_fault("permission_removed", Options(operation="get"), vault=VAULT)
    assert (await client.get(token, path=f"/deletedkeys/{KEY}")).error["innererror"]["code"] == "ForbiddenByPolicy"


async def test_deleted_key_can_be_unreadable_for_key_readers(client, simulator):
    token = await client.token()
    simulator.apply("key_soft_deleted_unreadable", vault=VAULT, key=KEY)
    assert (await client.get(token)).status == 404
    assert (await client.get(token, path=f"/deletedkeys/{KEY}")).status == 403
    assert (await client.get(token, path=f"/keys/Second/{SECOND}")).status == 200


async def test_key_versions_are_listed_in_pages_without_material(client):
    pages = [page async for page in client.pages(await client.token(), f"/keys/{LISTED}/versions")]
    assert [len(page) for page in pages] == [25, 25, 10]
    items = [item for page in pages for item in page]
    assert {item["kid"] for item in items} == {f"https://{VAULT}/keys/{LISTED}/{listed_version(n)}" for n in range(COUNT)}
    assert {item["attributes"]["enabled"] for item in items} == {True, False}
    assert {item["attributes"]["exp"] for item in items} == {1900000000}
    assert all(set(item) == {"kid", "attributes", "tags"} for item in items)


async def test_list_of_versions_needs_the_list_permission(client, simulator):
    simulator.set_fault("permission_removed", Options(operation="list"), vault=VAULT)
    refused = await client.get(await client.token(), path=f"/keys/{LISTED}/versions")
    assert (refused.status, refused.error["innererror"]["code"]) == (403, "ForbiddenByPolicy")
    assert simulator.requests[VAULT, "key_versions", 403] == 1
