"""A failed probe leaves no exporter object that only the collector can free."""

import asyncio
import contextlib
import gc
import socket
import threading
import types
from types import SimpleNamespace

import pytest

from exporter.clients.http.network import check_endpoint
from exporter.clients.http.timing import ConnectionState, TimedSocket
from exporter.config.settings import Credential, Module, SecretSource, Settings
from exporter.core.values import CredentialKind, Fault, Step
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.errors import drop_tracebacks
from exporter.runtime.loop import LoopLag
from exporter.runtime.tasks import DaemonThreadPool
from tests.support.factories import a_config, a_target
from tests.support.tls_server import ENTRA, VAULT, FakeVault, until

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
    if isinstance(each, (ConnectionState, TimedSocket)):  # held by asyncio's transports, which are reference cycles
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
def environment(pool, monkeypatch, serve, free_port):
    """What the failures need, and a thread for each probe."""
    pool.allow(PROBES)
    return SimpleNamespace(monkeypatch=monkeypatch, serve=serve, free_port=free_port)


def prober(module, *, timeout):
    """A prober of one target with the given module."""
    credential = Credential(
        name="app", kind=CredentialKind.CLIENT_SECRET, client_id="id", secret=SecretSource(env="EKM_LEFT_OVER")
    )
    target = a_target("one", vault=VAULT, credential="app", timeout=timeout)
    config = a_config(target, credentials=[credential], modules=[module], settings=Settings(concurrency=PROBES))
    return Prober(config, lag=LoopLag(), callbacks=ProberCallbacks(on_internal_error=pytest.fail)), target


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
async def test_failed_request_to_a_vault_leaves_nothing_to_collect(failure, environment, session_to):
    vault = await failure(environment)

    async def fail():
        async with session_to(vault) as session:
            return (await session.challenge(deadline=until(PATIENCE)))[0].fault

    assert await fail() is FAILURES[failure]
    with collecting() as left:
        faults = set(await asyncio.gather(*(fail() for _ in range(PROBES))))
        await asyncio.sleep(4 * LATE)
    assert faults == {FAILURES[failure]}
    assert left == []


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
async def test_failed_token_request_leaves_nothing_to_collect(failure, environment, monkeypatch, serve, authority):
    monkeypatch.setenv("EKM_LEFT_OVER", "not-a-secret")
    vault, entra = await serve(FakeVault()), await failure(environment)
    connect_to = {f"{VAULT}:443": f"127.0.0.1:{vault.port}"}
    if entra is not None:
        connect_to[f"{ENTRA}:443"] = f"127.0.0.1:{entra}"
    made, target = prober(Module(name="default", ca_file=authority.file, connect_to=connect_to), timeout=PATIENCE)

    async def fail():
        report = await made.probe_on_demand(target)
        return {report.step(Step.TOKEN).facts.fault} if report is not None else set()

    await made.probe_on_demand(target)
    with collecting() as left:
        faults = set().union(*await asyncio.gather(*(fail() for _ in range(PROBES))))
        await asyncio.sleep(4 * LATE)
    await made.aclose()
    assert faults == {FAILURES[failure]}
    assert left == []


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.__name__)
async def test_failed_endpoint_check_leaves_nothing_to_collect(failure, environment, network_to):
    network = network_to(await failure(environment))

    async def fail():
        return (await check_endpoint(network, VAULT, "/", deadline=until(PATIENCE))).facts.fault

    await fail()
    with collecting() as left:
        assert await fail() is FAILURES[failure]
        await asyncio.sleep(4 * LATE)
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
