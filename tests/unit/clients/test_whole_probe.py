"""What a whole probe leaves and lacks: memory, descriptors, threads, and what it shows of its requests."""

import asyncio
import contextlib
import errno
import gc
import json
import socket
import subprocess
import sys
import threading
import tracemalloc
import types
from asyncio import sslproto
from types import SimpleNamespace
from urllib.parse import parse_qs

import aiohttp
import pytest
from azure.core.exceptions import ServiceRequestError

from exporter.clients.http.exchange import Traffic
from exporter.clients.http.timing import TimedSocket
from exporter.clients.key_vault import VaultSession, check_endpoint
from exporter.config.settings import Credential, Module, SecretSource, Settings
from exporter.core.values import CredentialKind, Fault, Step
from exporter.presentation.text import BEARER, exchanges
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.errors import drop_tracebacks
from exporter.runtime.loop import TLS_BUFFER_BYTES, LoopLag, bound_tls_buffers
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, Shortage, shortage_of
from exporter.state.history import ProbeContext
from tests.support.factories import a_config, a_target
from tests.support.tls_server import ENTRA, TENANT, TOKEN, VAULT, FakeVault, response, until
from tests.unit.probing.test_round_trip import TARGET

# A failed probe leaves no exporter object that only the collector can free.

PROBES = 8
PATIENCE = 1.5  # seconds: a probe has to reach the failing request, also on a busy machine
LATE = 0.1  # seconds until a lookup ends after the probe


@contextlib.contextmanager
def collecting():
    """Switch the collector off and then list what only it can free, of the objects made meanwhile."""
    found = []
    gc.disable()
    gc.freeze()  # a whole run holds so many objects that each search of all would take seconds
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += [_name_of(each) for each in gc.garbage if _is_of_the_exporter(each)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def _is_of_the_exporter(each):
    if isinstance(each, (Traffic, TimedSocket)):  # held by asyncio's transports, which are reference cycles
        return False
    if isinstance(each, types.FrameType):
        return each.f_globals.get("__name__", "").startswith(("exporter", "aiohttp", "azure"))
    return type(each).__module__.startswith("exporter") or isinstance(each, BaseException)


def _name_of(each):
    return f"frame of {each.f_code.co_qualname}" if isinstance(each, types.FrameType) else type(each).__name__


async def never_responds(_wire, reader, _writer):
    await reader.read()


async def dns_is_silent(environment):
    """Give no port, so that the name is looked up; the lookup outlasts the probe."""
    never = threading.Event()

    def look_up(*_args, **_options):
        never.wait(PATIENCE + LATE)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    environment.monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def dns_has_no_such_name(environment):
    def look_up(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    environment.monkeypatch.setattr(socket, "getaddrinfo", look_up)


async def silence_after_tls(environment):
    return (await environment.serve(lambda _request: never_responds)).port


async def refusal(environment):
    return environment.free_port


FAILURES = {
    dns_is_silent: Fault.DNS_TIMEOUT,
    dns_has_no_such_name: Fault.DNS_NOT_FOUND,
    silence_after_tls: Fault.READ_TIMEOUT,
    refusal: Fault.CONNECT_REFUSED,
}


@pytest.fixture
def environment(pool, monkeypatch, serve, *, free_port, network_to, authority):
    """What the failures need, and a thread for each probe."""
    pool.allow(PROBES)
    return SimpleNamespace(
        monkeypatch=monkeypatch, serve=serve, free_port=free_port, network_to=network_to, authority=authority, probers=[]
    )


def prober_of(module, *, timeout):
    """A prober of one target with the given module."""
    credential = Credential(
        name="app", kind=CredentialKind.CLIENT_SECRET, client_id="id", secret=SecretSource(env="EKM_LEFT_OVER")
    )
    target = a_target("one", vault=VAULT, credential="app", timeout=timeout)
    config = a_config(target, credentials=[credential], modules=[module], settings=Settings(concurrency=PROBES))
    return Prober(config, lag=LoopLag(), callbacks=ProberCallbacks(on_internal_error=pytest.fail)), target


async def of_a_vault(port, environment):
    async def fail():
        async with VaultSession(environment.network_to(port), VAULT, "7.4") as session:
            return (await session.challenge(deadline=until(PATIENCE)))[0].fault

    return fail


async def of_an_endpoint(port, environment):
    async def fail():
        return (await check_endpoint(environment.network_to(port), VAULT, "/", deadline=until(PATIENCE)))[0].fault

    return fail


async def of_a_token(port, environment):
    environment.monkeypatch.setenv("EKM_LEFT_OVER", "not-a-secret")
    vault = await environment.serve(FakeVault())
    connect_to = {f"{VAULT}:443": f"127.0.0.1:{vault.port}"}
    if port is not None:
        connect_to[f"{ENTRA}:443"] = f"127.0.0.1:{port}"
    module = Module(name="default", ca_file=environment.authority.file, connect_to=connect_to)
    made, target = prober_of(module, timeout=PATIENCE)
    environment.probers.append(made)

    async def fail():
        report = await made.probe_on_demand(target)
        return Fault.NONE if report is None else report.step(Step.TOKEN).facts.fault

    return fail


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
@pytest.mark.parametrize("request_to", [of_a_vault, of_an_endpoint, of_a_token], ids=lambda request: request.__name__)
async def test_failed_request_leaves_nothing_to_collect(failure, request_to, environment):
    fail = await request_to(await failure(environment), environment)
    assert await fail() is FAILURES[failure]
    with collecting() as left:
        faults = set(await asyncio.gather(*(fail() for _ in range(PROBES))))
        await asyncio.sleep(4 * LATE)
    for prober in environment.probers:
        await prober.aclose()
    assert faults == {FAILURES[failure]}
    assert left == []


async def test_failed_call_on_a_thread_leaves_nothing_to_collect():
    pool = DaemonThreadPool(1, name="test-left-over")

    async def fail():
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)

    await fail()
    with collecting() as left:
        await fail()
    pool.close()
    assert left == []


def test_drop_tracebacks_covers_the_whole_exception_tree():
    def raised(error):
        with pytest.raises(type(error)) as caught:
            _raise(error)
        return caught.value

    cause, context, member, attribute, argument = (raised(ValueError(str(number))) for number in range(5))
    top = raised(ExceptionGroup("top", [member]))
    top.__cause__, cause.__context__ = cause, context
    top.inner, top.exc_traceback = attribute, attribute.__traceback__
    context.args = (argument, top)  # a cycle
    drop_tracebacks(top)
    assert [each.__traceback__ for each in (top, cause, context, member, attribute, argument)] == [None] * 6
    assert top.exc_traceback is None


def _raise(error):
    raise error


# A lack of descriptors, threads or memory is an exporter-side shortage.

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
from exporter.clients.key_vault import VaultSession, check_endpoint
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


# Pages and support bundles show the requests that were sent, without secrets.

SECRET = "MARKED~secret.8Q"
CLIENT = "66666666-7777-8888-9999-000000000000"


def entra(request):
    if request.path.endswith("/token"):
        return response(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN}, x_ms_request_id="entra-1")
    base = f"https://{ENTRA}/{TENANT}"
    return response(
        200,
        {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
        },
    )


async def test_shown_requests_are_the_sent_ones(serve, authority, fake_vault, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    vault, login = await serve(fake_vault), await serve(entra)
    routes = {f"{VAULT}:443": f"127.0.0.1:{vault.port}", f"{ENTRA}:443": f"127.0.0.1:{login.port}"}
    module = Module(name="default", ca_file=authority.file, connect_to=routes)
    credential = Credential(
        name="c", kind=CredentialKind.CLIENT_SECRET, client_id=CLIENT, secret=SecretSource(file=tmp_path / "secret")
    )
    target = a_target(vault=VAULT, key_name=fake_vault.name, key_version=fake_vault.version, credential="c")
    config = a_config(target, credentials=[credential], modules=[module])
    prober = Prober(config, lag=LoopLag(), callbacks=ProberCallbacks(on_internal_error=_raise))
    async with asyncio.timeout(30):
        report = await prober.probe_on_demand(target, credential=credential, fresh=True)
    await prober.aclose()
    assert report.success, report

    shown = {
        step: [line.removeprefix("> ") for line in lines if line.startswith("> ")]
        for step, lines in exchanges(ProbeContext(target, module, credential), report)
    }
    sent = dict(zip((Step.CHALLENGE, Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY), vault.requests, strict=True))
    for step, request in sent.items():
        assert shown[step][0] == f"{request.method} https://{VAULT}{request.target}"
        assert (BEARER in shown[step]) is ("authorization" in request.headers)
        assert (len(shown[step]) == 3) is bool(request.body)
    (sign_in,) = [request for request in login.requests if request.method == "POST"]
    line, form = shown[Step.TOKEN]
    assert line == f"POST https://{ENTRA}{sign_in.target}"
    fields, shown_fields = parse_qs(sign_in.body.decode()), parse_qs(form)
    assert fields["client_secret"] == [SECRET]
    assert set(shown_fields) <= set(fields)
    assert all(shown_fields[name] == fields[name] for name in ("client_id", "grant_type"))
    assert SECRET not in str(shown)
    assert TOKEN not in str(shown)


# The memory of an idle TLS connection.

WAITING = 10
ENDS = 2  # the test's server has buffers too


async def test_waiting_connection_holds_a_small_buffer(serve, session_to, monkeypatch):
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    bound_tls_buffers()
    all_waiting = asyncio.Event()

    async def silent(_wire, reader, _writer):
        if len(wire.requests) == WAITING:
            all_waiting.set()
        await reader.read()

    wire = await serve(lambda _request: silent)

    async def wait():
        async with session_to(wire) as session:
            return (await session.challenge(deadline=until(2)))[0].fault

    tracemalloc.start()
    try:
        tasks = [asyncio.create_task(wait()) for _ in range(WAITING)]
        await all_waiting.wait()
        held = sum(
            trace.size
            for trace in tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, sslproto.__file__)]).traces
        )
    finally:
        tracemalloc.stop()
    assert set(await asyncio.gather(*tasks)) == {Fault.READ_TIMEOUT}
    assert held < 2 * ENDS * WAITING * TLS_BUFFER_BYTES


async def test_response_larger_than_the_buffer_is_read_whole(serve, session_to, monkeypatch):
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", sslproto.SSLProtocol.max_size)
    bound_tls_buffers()
    document = FakeVault().document() | {"padding": "x" * (10 * TLS_BUFFER_BYTES)}
    wire = await serve(lambda _request: response(200, document))
    async with session_to(wire) as session:
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
    assert facts.fault is Fault.NONE
    assert key is not None
