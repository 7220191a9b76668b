"""A private key is read once, on a thread, and forgotten when its file, password or credential changes."""

import gc
import threading
import weakref

import pytest

from exporter.clients.certificates import load_certificate
from exporter.config.settings import Credential, SecretSource
from exporter.core.values import CredentialKind
from exporter.probing import secrets
from exporter.probing.secrets import SecretCache


class StandIn:
    """In place of a certificate with its key, which has no weak references."""


class KeyFile:
    """A credential with a certificate file, and the cache that reads it."""

    def __init__(self, cache, path):
        self.path = path
        self.now, self.cache = 100.0, cache
        self.credential = Credential(
            name="c",
            kind=CredentialKind.CLIENT_CERTIFICATE,
            certificate_file=path,
            password=SecretSource(env="EKM_TEST_SECRET"),
        )

    async def read_later(self):
        self.now += 5
        return await self.cache.current(self.credential)


@pytest.fixture
def kept(pool, principal, tmp_path, monkeypatch):
    monkeypatch.setenv("EKM_TEST_SECRET", "first")
    made = KeyFile(SecretCache(pool, clock=lambda: made.now), tmp_path / "principal.pem")
    made.path.write_bytes(principal.pem())
    return made


async def test_key_is_read_once_on_a_thread(kept, principal, monkeypatch):
    threads = []
    monkeypatch.setattr(
        secrets, "load_certificate", lambda *given: threads.append(threading.current_thread()) or load_certificate(*given)
    )
    first = await kept.read_later()
    assert await kept.read_later() is first
    assert first.proof.signer.certificate == principal.certificate
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("change", ["file", "password", "removed", "reload"])
async def test_changed_or_removed_key_is_not_kept(kept, monkeypatch, change):
    monkeypatch.setattr(secrets, "load_certificate", lambda *_: StandIn())
    key = weakref.ref((await kept.read_later()).certificate)
    assert key() is not None
    match change:
        case "file":
            kept.path.write_bytes(kept.path.read_bytes() + b"\n")
        case "password":
            monkeypatch.setenv("EKM_TEST_SECRET", "second")
        case "removed":
            kept.path.unlink()
    if change == "reload":
        kept.cache.keep_only([])
    else:
        await kept.read_later()
    gc.collect()
    assert key() is None
