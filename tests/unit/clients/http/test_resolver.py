"""Name resolution: what the operating system says, and who is to blame when nobody answers."""

import asyncio
import socket
import threading

import pytest

from exporter.clients import VaultSession
from exporter.clients.http.resolver import split_host_port
from exporter.core.faults import Fault
from exporter.core.model import Phase
from exporter.runtime.thread_pool import DaemonThreadPool, PoolExhausted
from tests.support.tls_server import TOKEN, VAULT, until


async def ask(session, seconds=5.0):
    facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(seconds))
    return facts


@pytest.fixture
def system_says(monkeypatch):
    """Replaces the system's getaddrinfo, which runs on our threads."""

    def replace(answer):
        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return replace


@pytest.fixture
def stuck(system_says):
    """A resolver that never answers, until the test is over."""
    over, entered = threading.Event(), threading.Semaphore(0)

    def wait(*_args, **_kwargs):
        entered.release()
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    system_says(wait)
    yield entered
    over.set()


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (socket.EAI_NONAME, Fault.DNS_NOT_FOUND),
        (socket.EAI_NODATA, Fault.DNS_NOT_FOUND),
        (socket.EAI_ADDRFAMILY, Fault.DNS_NOT_FOUND),
        (socket.EAI_AGAIN, Fault.DNS_TEMPORARY),
        (socket.EAI_FAIL, Fault.DNS_TEMPORARY),
        (socket.EAI_SYSTEM, Fault.DNS_TEMPORARY),
        (12345, Fault.DNS_TEMPORARY),
    ],
)
async def test_the_resolvers_answer_tells_a_missing_name_from_a_broken_resolver(session_to, system_says, number, fault):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(number, "said the system")

    system_says(fail)
    async with session_to(None) as session:
        facts = await ask(session)
    assert facts.fault is fault
    assert facts.phase_reached is Phase.DNS
    assert set(facts.phases) == {Phase.DNS}
    assert facts.exception == "ClientConnectorDNSError"


async def test_a_name_without_addresses_is_not_found(session_to, system_says):
    system_says(lambda *_args, **_kwargs: [])
    async with session_to(None) as session:
        assert (await ask(session)).fault is Fault.DNS_NOT_FOUND


async def test_a_name_that_cannot_be_one_is_not_found(session_to):
    async with session_to(None, connect_to={f"{VAULT}:443": "a..b:443"}) as session:
        assert (await ask(session)).fault is Fault.DNS_NOT_FOUND


async def test_a_resolver_that_does_not_answer_is_a_dns_timeout(session_to, stuck):
    async with session_to(None) as session:
        facts = await ask(session, 0.3)
    assert stuck.acquire(blocking=False)
    assert facts.fault is Fault.DNS_TIMEOUT
    assert facts.phase_reached is Phase.DNS
    assert facts.phases[Phase.DNS] == pytest.approx(0.3, abs=0.15)


@pytest.mark.usefixtures("stuck")
async def test_waiting_for_a_thread_is_never_the_resolvers_fault(session_to, pool):
    held = [asyncio.create_task(pool.run(socket.getaddrinfo)) for _ in range(8)]
    await asyncio.sleep(0)
    async with session_to(None) as session:
        with pytest.raises(PoolExhausted):
            await ask(session, 0.1)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_a_thread_that_came_too_late_is_not_the_resolvers_fault_either(session_to, system_says, pool):
    free, over = threading.Event(), threading.Event()
    system_says(lambda *_args, **_kwargs: over.wait(10))
    held = [asyncio.create_task(pool.run(free.wait)) for _ in range(8)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.25, free.set)
    async with session_to(None) as session:
        with pytest.raises(PoolExhausted):
            await ask(session, 0.35)
    over.set()
    await asyncio.gather(*held)


@pytest.mark.usefixtures("stuck")
async def test_a_cancelled_wait_for_a_thread_stays_a_cancellation(session_to, pool):
    held = [asyncio.create_task(pool.run(socket.getaddrinfo)) for _ in range(8)]
    await asyncio.sleep(0)

    async def one():
        async with session_to(None) as session:
            await ask(session, 60)

    task = asyncio.create_task(one())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for other in held:
        other.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_a_pool_that_is_closed_is_busy(network_to, pool):
    network = network_to(None)
    pool.close()
    async with VaultSession(network, VAULT, "7.4") as session:
        with pytest.raises(PoolExhausted):
            await ask(session)


async def test_dead_names_do_not_starve_a_healthy_one(session_to, serve, fake_vault, system_says):
    real, over = socket.getaddrinfo, threading.Event()

    def some_are_dead(name, *args, **kwargs):
        if name != "localhost":
            over.wait(10)
        return real(name, *args, **kwargs)

    system_says(some_are_dead)
    wire = await serve(fake_vault)

    async def dead():
        async with session_to(None) as session:
            return await ask(session, 0.5)

    dying = [asyncio.create_task(dead()) for _ in range(7)]
    await asyncio.sleep(0.05)
    async with session_to(None, connect_to={f"{VAULT}:443": f"localhost:{wire.port}"}) as session:
        facts = await ask(session, 0.4)
    assert facts.fault is Fault.NONE
    assert {facts.fault for facts in await asyncio.gather(*dying)} == {Fault.DNS_TIMEOUT}
    over.set()


async def test_of_several_addresses_the_telling_failure_counts(session_to, system_says, free_port):
    def two(*_args, **_kwargs):  # a multicast address is unreachable at once
        hosts = ("224.0.0.1", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, free_port)) for host in hosts]

    system_says(two)
    async with session_to(None, connect_to={f"{VAULT}:443": f"vault.example:{free_port}"}) as session:
        assert (await ask(session)).fault is Fault.CONNECT_REFUSED


async def test_without_a_route_the_network_is_down(session_to):
    async with session_to(None, connect_to={f"{VAULT}:443": "224.0.0.1:443"}) as session:
        facts = await ask(session)
    assert facts.fault is Fault.NETWORK_DOWN
    assert facts.phase_reached is Phase.CONNECT


async def test_a_second_address_is_tried_where_the_first_refuses(session_to, system_says, serve, fake_vault):
    wire = await serve(fake_vault)

    def two(_name, port, **_kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]

    system_says(two)
    async with session_to(None, connect_to={f"{VAULT}:443": f"vault.example:{wire.port}"}) as session:
        assert (await ask(session)).fault is Fault.NONE


def test_hosts_and_ports_are_split_with_and_without_brackets():
    assert split_host_port("Contoso.Vault.azure.net:443") == ("contoso.vault.azure.net", 443)
    assert split_host_port("[2001:db8::1]:8443") == ("2001:db8::1", 8443)


def test_a_pool_for_names_has_threads():
    with pytest.raises(ValueError, match="at least one"):
        DaemonThreadPool(0)
