"""Secrets that need no thread: those of environment variables."""

from pathlib import Path

import pytest

from exporter.config.settings import Credential, SecretSource
from exporter.core.values import CredentialKind
from exporter.probing.secrets import SecretCache
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted

BY_VARIABLE = Credential(name="v", kind=CredentialKind.CLIENT_SECRET, secret=SecretSource(env="EKM_TEST_SECRET"))
BY_HOST = Credential(name="vm", kind=CredentialKind.MANAGED_IDENTITY)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def cache(clock):
    """Return a cache without threads."""
    pool = DaemonThreadPool(1)
    pool.close()
    return SecretCache(pool, clock=clock)


async def test_secret_of_a_variable_takes_no_thread(cache, clock, monkeypatch):
    monkeypatch.setenv("EKM_TEST_SECRET", "first")
    first = cache.find(BY_VARIABLE)
    monkeypatch.setenv("EKM_TEST_SECRET", "second")
    assert cache.find(BY_VARIABLE) is first
    clock.now += 1
    second = await cache.current(BY_VARIABLE)
    assert (first.text, second.text) == ("first", "second")
    assert first.fingerprint != second.fingerprint


async def test_missing_variable_is_a_failure_with_its_name(cache, monkeypatch):
    monkeypatch.delenv("EKM_TEST_SECRET", raising=False)
    missing = cache.find(BY_VARIABLE)
    assert (missing.text, missing.failure) == (
        None,
        "environment variable EKM_TEST_SECRET: is not set: export it before the start",
    )


async def test_identity_without_a_secret_takes_no_thread(cache):
    assert (cache.find(BY_HOST).text, cache.find(BY_HOST).failure) == (None, "")


@pytest.mark.parametrize(
    "credential",
    [
        Credential(name="f", kind=CredentialKind.CLIENT_SECRET, secret=SecretSource(file=Path("secret"))),
        Credential(name="c", kind=CredentialKind.CLIENT_CERTIFICATE, certificate_file=Path("sp.pem")),
        Credential(
            name="p",
            kind=CredentialKind.CLIENT_CERTIFICATE,
            certificate_file=Path("sp.pem"),
            password=SecretSource(env="EKM_TEST_SECRET"),
        ),
    ],
    ids=lambda credential: credential.name,
)
async def test_file_needs_a_thread(cache, credential):
    assert cache.find(credential) is None
    with pytest.raises(PoolExhausted):
        await cache.current(credential)
