"""A lack of descriptors, threads or memory is an exporter-side shortage."""

import asyncio
import errno
import json
import socket
import subprocess
import sys
import threading

import aiohttp
import pytest
from azure.core.exceptions import ServiceRequestError

from exporter.config.settings import Settings
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop import LoopLag
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, Shortage, shortage_of
from tests.support.factories import a_config
from tests.support.tls_server import VAULT, until
from tests.unit.probing.test_round_trip import TARGET

WITHOUT_DESCRIPTORS = """
import asyncio, json, resource, sys
from pathlib import Path
from exporter.probing.secrets import SecretCache
from exporter.config.settings import Config, Credential, Module, SecretSource, Settings
from exporter.core.values import CredentialKind
from exporter.core.values import Challenge
from exporter.clients.entra import fetch_token
from exporter.clients.http.network import Networks
from exporter.clients.key_vault import VaultSession
from exporter.clients.http.network import check_endpoint
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted

VAULT, ENTRA = "contoso.vault.azure.net", "https://login.microsoftonline.com"
HERE = Module(name="here", connect_to={f"{VAULT}:443": "127.0.0.1:9"})
NAMED = Module(name="named")
SECRET = Credential(name="s", kind=CredentialKind.CLIENT_SECRET, client_id="c", secret=SecretSource(file=Path(sys.argv[1])))
PEM = Credential(name="p", kind=CredentialKind.CLIENT_CERTIFICATE, client_id="c", certificate_file=Path(sys.argv[1]))
CHALLENGE = Challenge(authority=ENTRA, tenant="t", resource="https://vault.azure.net")

async def lacking(call):
    try:
        await call
    except PoolExhausted as busy:
        return busy.shortage
    return "nothing"

async def challenge(network):
    async with VaultSession(network, VAULT, "7.4") as session:
        await session.challenge(deadline=asyncio.get_running_loop().time() + 5)

async def main():
    pool = DaemonThreadPool(2)
    config = Config(settings=Settings(), credentials={}, modules={"here": HERE, "named": NAMED}, targets={})
    networks = Networks(config, pool=pool)
    deadline = asyncio.get_running_loop().time() + 20
    VAULT.encode("idna")
    await pool.run(int)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    print(json.dumps({
        "connecting": await lacking(challenge(networks.network_of(HERE))),
        "looking up a name": await lacking(challenge(networks.network_of(NAMED))),
        "reading a secret": await lacking(SecretCache(pool).current(SECRET)),
        "reading a certificate": await lacking(SecretCache(pool).current(PEM)),
        "requesting a token": await lacking(fetch_token(networks.network_of(NAMED), SECRET, "x", CHALLENGE, deadline=deadline)),
        "checking an endpoint": await lacking(check_endpoint(networks.network_of(HERE), VAULT, "/", deadline=deadline)),
    }))
    pool.close()

asyncio.run(main())
"""


def test_lack_of_descriptors_is_reported_by_each_call(tmp_path):
    file = tmp_path / "secret"
    file.write_text("not-a-secret\n")
    run = subprocess.run(  # noqa: S603 - nothing from outside the tests
        [sys.executable, "-c", WITHOUT_DESCRIPTORS, file], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert len(found) == 6
    assert set(found.values()) == {"descriptors"}, found


def wrapped(inner):
    outer = ServiceRequestError("the SDK's words")
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (OSError(errno.EMFILE, "words"), Shortage.DESCRIPTORS),
        (OSError(errno.ENFILE, "words"), Shortage.DESCRIPTORS),
        (OSError(errno.ENOMEM, "words"), Shortage.MEMORY),
        (OSError(errno.ENOBUFS, "words"), Shortage.MEMORY),
        (OSError("Multiple exceptions: [Errno 111] refused, [Errno 24] too many"), Shortage.DESCRIPTORS),
        (socket.gaierror(socket.EAI_MEMORY, "words"), Shortage.MEMORY),
        (MemoryError(), Shortage.MEMORY),
        (PoolExhausted("words", Shortage.THREADS), Shortage.THREADS),
        (PoolExhausted("words"), Shortage.RESOLVER),
        (aiohttp.ClientOSError(errno.ECONNREFUSED, "words"), None),
        (socket.gaierror(socket.EAI_AGAIN, "words"), None),
        (ValueError(errno.EMFILE), None),
        (None, None),
    ],
)
def test_shortage_is_found_in_a_wrapped_exception(error, lacking):
    assert shortage_of(error) is lacking
    assert shortage_of(wrapped(wrapped(error))) is lacking


@pytest.fixture
def prober():
    """A prober of one target, and its reported shortages."""
    reported = []
    callbacks = ProberCallbacks(on_internal_error=reported.append, on_shortage=reported.append)
    return Prober(a_config(TARGET, settings=Settings(concurrency=1)), lag=LoopLag(), callbacks=callbacks), reported


def refuse_threads(monkeypatch):
    def start(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)


async def test_probe_without_a_thread_is_skipped_and_reported(prober, monkeypatch):
    refuse_threads(monkeypatch)
    made, reported = prober
    assert await made.probe_scheduled(TARGET) is None
    assert reported == [Shortage.THREADS]
    await made.aclose()


async def test_timeout_without_a_new_thread_is_a_thread_shortage(monkeypatch):
    pool, over = DaemonThreadPool(2, name="test-shortage"), threading.Event()
    first = asyncio.create_task(pool.run(over.wait))
    await asyncio.sleep(0)
    refuse_threads(monkeypatch)
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout_at(until(0.05)):
            await pool.run(int)
    assert shortage_of(caught.value) is Shortage.THREADS
    over.set()
    await first
    pool.close()


async def test_vault_session_without_a_thread_raises_the_shortage(session_to, monkeypatch):
    refuse_threads(monkeypatch)
    async with session_to(None) as session:
        with pytest.raises(PoolExhausted) as caught:
            await session.challenge(deadline=until())
    assert caught.value.shortage is Shortage.THREADS
    assert VAULT not in str(caught.value)
