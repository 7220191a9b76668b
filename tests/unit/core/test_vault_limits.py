"""The key operations of a probe, and the limits of vaults."""

import pytest

from exporter.core.values import OPERATIONS, Mode, Step, has_limits, key_operations_limit, operation_limit, operations_of


@pytest.mark.parametrize(
    ("vault", "key", "limit"),
    [
        ("contoso.vault.azure.net", {}, 500),
        ("contoso.vault.azure.net", {"hardware": False, "size_bits": 2048}, 4000),
        ("contoso.managedhsm.azure.net", {}, 3600),
        ("contoso.managedhsm.azure.net", {"size_bits": 2048}, 11000),
        ("vault.corp.example", {}, 500),
    ],
)
def test_key_and_kind_of_vault_select_the_limit(vault, key, limit):
    assert key_operations_limit(vault, **key) == limit


def test_mode_read_only_uses_no_key():
    assert [operation.step for operation in operations_of(Mode.READ_ONLY)] == [Step.CHALLENGE, Step.GET_KEY]
    assert [operation.step for operation in operations_of(Mode.FULL)] == [step for step in Step if step is not Step.TOKEN]


@pytest.mark.parametrize(
    ("vault", "key", "limits"),
    [
        ("contoso.vault.azure.net", {}, [4000, 500, 500, 500]),
        ("contoso.vault.azure.net", {"hardware": True, "size_bits": 2048}, [4000, 2000, 2000, 2000]),
        ("contoso.vault.azure.net", {"hardware": False, "size_bits": 1024}, [4000, 500, 500, 500]),
        ("contoso.managedhsm.azure.net", {}, [4000, 4000, 3600, 3600]),
    ],
)
def test_requests_about_a_key_have_the_limit_of_the_key(vault, key, limits):
    assert [operation_limit(operation, vault, **key) for operation in OPERATIONS] == limits


@pytest.mark.parametrize(
    ("vault", "published"),
    [("contoso.vault.azure.net", True), ("contoso.managedhsm.azure.net", False), ("vault.corp.example", False)],
)
def test_limits_are_published_for_vaults_of_a_known_cloud(vault, published):
    assert has_limits(vault) is published
