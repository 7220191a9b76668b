"""What the unit tests of several parts need: an authority, a principal and a vault, made once."""

import pytest

from tests.support.tls_server import Authority, FakeVault, Principal


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def principal(authority):
    return Principal(authority)


@pytest.fixture(scope="session")
def fake_vault():
    return FakeVault()
