"""What the unit tests of several parts need: an authority, a principal and a vault, made once."""

import pytest

from exporter.presentation.documentation import Documentation
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


@pytest.fixture(scope="session")
def archive():
    """Return the documents of the checkout as they are now."""
    from docs.generators import site  # noqa: PLC0415 - most unit tests need no Markdown

    return site.archive()


@pytest.fixture
def built(archive, monkeypatch):
    """Read these documents, whatever the last build has left."""
    monkeypatch.setattr(Documentation, "load", lambda: Documentation(archive))
