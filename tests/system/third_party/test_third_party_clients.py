"""Clients of other vendors take the simulator for Azure: they work with it, and name each fault as they name Azure's.

They are Microsoft's JavaScript SDK and MongoDB's C client. Neither knows of the simulator: both use the real host names.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.network.harness import ENTRA, VAULT
from tests.system.third_party.harness import HSM, NAME, NEWEST, OLDER, OLDEST, TENANT

pytestmark = [pytest.mark.real, pytest.mark.tools, pytest.mark.asyncio(loop_scope="module")]

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"
ROUND_TRIP = ("token", "get", "wrap", "unwrap")
JANUARY, DECEMBER, NOVEMBER = (f"{day}T00:00:00.000Z" for day in ("2026-01-01", "2025-12-02", "2025-11-02"))
TOKEN_PATH, KEY_PATH = f"{ENTRA} POST /{TENANT}/oauth2/v2.0/token", f"{VAULT} POST /keys/{NAME}/{NEWEST}"


@dataclass(frozen=True, kw_only=True)
class AzureSdk:
    """What Microsoft's SDK throws: the step, the class of the error, its fields, and a part of its message."""

    step: str
    name: str = "RestError"
    code: str | None = None
    status: int | None = None
    inner: str | None = None
    message: str


@dataclass(frozen=True, kw_only=True)
class MongoDb:
    """What MongoDB's client raises: its last request, how often it sent that, and parts of its message."""

    path: str
    sent: int = 1
    status: int
    message: str


def refused_token(message: str) -> AzureSdk:
    return AzureSdk(step="token", name="AuthenticationRequiredError", message=message)


def forbidden(step: str, inner: str, message: str) -> AzureSdk:
    return AzureSdk(step=step, code="Forbidden", status=403, inner=inner, message=message)


WRAP, UNWRAP = f"{KEY_PATH}/wrapkey?api-version=7.1", f"{KEY_PATH}/unwrapkey?api-version=7.1"
ON_VAULT, ON_APPLICATION, ON_ENTRA = {"vault": "contoso"}, {"application": "sql-prod"}, {"authority": ENTRA}

# Each fault, and the error of each client.
FAULTS: dict[str, tuple[dict[str, object], AzureSdk, MongoDb]] = {
    "expired secret": (
        {**ON_APPLICATION, "fault": "secret_expired"},
        refused_token("invalid_client: Error(s): 7000222 "),
        MongoDb(path=TOKEN_PATH, status=401, message='"error_description":"AADSTS7000222: '),
    ),
    "throttled sign-in": (
        {**ON_ENTRA, "fault": "entra_throttled"},
        refused_token("temporarily_unavailable: Error(s): 90055 "),
        MongoDb(path=TOKEN_PATH, sent=4, status=429, message="AADSTS90055"),
    ),
    "revoked token": (
        {**ON_VAULT, "fault": "vault_token_revoked"},
        AzureSdk(step="get", code="Unauthorized", status=401, message="AKV10094"),
        MongoDb(path=WRAP, status=401, message="AKV10094"),
    ),
    "missing role": (
        {**ON_VAULT, "fault": "role_removed", "operation": "unwrapKey"},
        forbidden("unwrap", "ForbiddenByRbac", "Action: 'Microsoft.KeyVault/vaults/keys/unwrap/action'"),
        MongoDb(path=UNWRAP, status=403, message='"innererror":{"code":"ForbiddenByRbac"}'),
    ),
    "firewall": (
        {**ON_VAULT, "fault": "firewall"},
        forbidden("get", "ForbiddenByFirewall", "Client address: 203.0.113.10"),
        MongoDb(path=WRAP, status=403, message='"innererror":{"code":"ForbiddenByFirewall"}'),
    ),
    "throttled vault": (
        {**ON_VAULT, "fault": "throttled", "retry_after": 1},
        AzureSdk(step="get", code="Throttled", status=429, message="VaultRequestTypeLimitReached"),
        MongoDb(path=WRAP, sent=4, status=429, message='"code":"Throttled"'),
    ),
    "disabled key": (
        {**ON_VAULT, "fault": "key_disabled"},
        forbidden("wrap", "KeyDisabled", "disabled key"),
        MongoDb(path=WRAP, status=403, message='"innererror":{"code":"KeyDisabled"}'),
    ),
    "expired key": (  # the SDK compares the date itself, before it wraps
        {**ON_VAULT, "fault": "key_expired"},
        AzureSdk(step="wrap", name="Error", message=f"Key https://{VAULT}/keys/{NAME}/{NEWEST} expired at 20"),
        MongoDb(path=WRAP, status=403, message="expired key"),
    ),
    "deleted key": (
        {**ON_VAULT, "fault": "key_soft_deleted"},
        AzureSdk(step="get", code="KeyNotFound", status=404, message=f"{NAME}/{NEWEST} was not found in this key vault"),
        MongoDb(path=WRAP, status=404, message='"code":"KeyNotFound"'),
    ),
    "vault of another tenant": (  # the SDK reads the challenge; MongoDB's client has its tenant from its configuration
        {**ON_VAULT, "fault": "vault_in_other_tenant"},
        AzureSdk(step="get", name="CredentialUnavailableError", message="not configured to acquire tokens for tenant 0d9e7c5b-"),
        MongoDb(path=WRAP, status=401, message=f"AKV10032: The issuer does not match, found: https://sts.windows.net/{TENANT}/"),
    ),
}


async def test_azure_sdk_makes_the_round_trip(clients):
    found = await clients.azure_sdk(*ROUND_TRIP)

    assert found.pop("lifetime") > 3_000_000  # milliseconds
    created = {"type": "RSA", "bits": 2048, "created": JANUARY}
    assert found == {"id": f"https://{VAULT}/keys/{NAME}/{NEWEST}", "same": True, **created}


async def test_vault_unwraps_what_azure_sdk_wrapped_itself(clients):
    """With RSA-OAEP, the connector's algorithm, the SDK wraps with the public key."""
    assert (await clients.azure_sdk("wrap", "unwrap", algorithm="RSA-OAEP"))["same"]


async def test_azure_sdk_makes_the_round_trip_with_a_managed_hsm(clients):
    found = await clients.azure_sdk(*ROUND_TRIP, "versions", vault=HSM)

    assert (found["type"], found["same"], found["pages"]) == ("RSA-HSM", True, [[[NEWEST, True, JANUARY]]])


async def test_azure_sdk_works_without_a_version(clients):
    assert (await clients.azure_sdk(*ROUND_TRIP, version=""))["same"]


async def test_azure_sdk_lists_keys_and_pages_of_versions(clients):
    found = await clients.azure_sdk("list", "versions")

    assert found["listed"] == [[NAME, True, JANUARY]]
    assert found["pages"] == [[[OLDEST, True, NOVEMBER], [OLDER, True, DECEMBER]], [[NEWEST, True, JANUARY]]]


async def test_azure_sdk_finds_a_deleted_key(clients):
    await clients.break_(vault="contoso", fault="key_soft_deleted")

    found = await clients.azure_sdk("list", "versions", "deleted")

    assert (found["listed"], found["pages"]) == ([], [[]])
    assert found["deleted"] == [NAME, f"https://{VAULT}/deletedkeys/{NAME}", True]


@pytest.mark.parametrize("fault", FAULTS)
async def test_azure_sdk_names_the_fault(clients, fault):
    broken, expected, _ = FAULTS[fault]
    await clients.break_(**broken)

    found = await clients.azure_sdk(*ROUND_TRIP)

    assert expected.message in found["message"]
    for field in ("step", "name", "code", "status", "inner"):
        assert found.get(field) == getattr(expected, field), field


async def test_azure_sdk_gets_another_token_for_a_claims_challenge(clients):
    """The challenge of continuous access evaluation. Any other 401 to a token ends the SDK's attempt."""
    await clients.break_(vault="contoso", fault="vault_token_revoked")
    before = await clients.requests("get", 401)

    assert (await clients.azure_sdk("get"))["status"] == 401

    assert await clients.requests("get", 401) == before + 2


async def test_program_of_the_documentation_runs_as_it_is(clients):
    program = re.search(r"```js\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]

    assert await clients.program(program) == f"{NEWEST} my bytes\n"


@pytest.mark.parametrize("version", [NEWEST, ""], ids=["pinned", "newest"])
async def test_mongodb_client_makes_the_round_trip(clients, version):
    found = await clients.mongodb(version=version)

    assert found["same"]
    wrap, unwrap = (path.replace(NEWEST, version) for path in (WRAP, UNWRAP))
    assert found["sent"] == [f"{path} HTTP/1.1" for path in (TOKEN_PATH, wrap, TOKEN_PATH, unwrap)]


@pytest.mark.parametrize("fault", FAULTS)
async def test_mongodb_client_names_the_fault(clients, fault):
    broken, _, expected = FAULTS[fault]
    await clients.break_(**broken)

    found = await clients.mongodb()

    assert found["name"] == "MongoCryptError"
    assert f"Error in KMS response. HTTP status={expected.status}." in found["message"]
    assert expected.message in found["message"]
    assert found["sent"][-expected.sent :] == [f"{expected.path} HTTP/1.1"] * expected.sent
    assert found["message"].startswith("KMS request failed after maximum of 3 retries") == (expected.sent > 1)
