"""Name resolution: errors, timeouts and a lack of threads."""

import asyncio
import socket
import threading

import pytest

from exporter.clients.http.network import split_host_port
from exporter.core.values import Fault, Phase
from exporter.runtime.tasks import PoolExhausted
from tests.support.tls_server import VAULT, get_key


@pytest.fixture
def replace_resolver(monkeypatch):
    """Replace `getaddrinfo` of the system, which runs on threads of the pool."""

    def replace(function):
        monkeypatch.setattr(socket, "getaddrinfo", function)

    return replace


@pytest.fixture
def stuck(replace_resolver):
    """Block the resolver until the end of the test."""
    over, entered = threading.Event(), threading.Semaphore(0)

    def wait(*_args, **_kwargs):
        entered.release()
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "over")

    replace_resolver(wait)
    yield entered
    over.set()


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (socket.EAI_NONAME, Fault.DNS_NOT_FOUND),
        (socket.EAI_NODATA, Fault.DNS_NOT_FOUND),
        (11004, Fault.DNS_NOT_FOUND),  # of Windows
        (socket.EAI_ADDRFAMILY, Fault.DNS_NOT_FOUND),
        (socket.EAI_AGAIN, Fault.DNS_TEMPORARY),
        (socket.EAI_FAIL, Fault.DNS_TEMPORARY),
        (socket.EAI_SYSTEM, Fault.DNS_TEMPORARY),
        (12345, Fault.DNS_TEMPORARY),
    ],
)
async def test_missing_name_and_broken_resolver_are_separate_faults(key_facts, replace_resolver, number, fault):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(number, "words")

    replace_resolver(fail)
    facts = await key_facts(None)
    assert facts.fault is fault
    assert facts.phase_reached is Phase.DNS
    assert set(facts.phases) == {Phase.DNS}
    assert facts.exception == "ClientConnectorDNSError"


async def test_name_without_addresses_is_not_found(key_facts, replace_resolver):
    replace_resolver(lambda *_args, **_kwargs: [])
    assert (await key_facts(None)).fault is Fault.DNS_NOT_FOUND


async def test_invalid_name_is_not_found(key_facts):
    assert (await key_facts(None, connect_to={f"{VAULT}:443": "a..b:443"})).fault is Fault.DNS_NOT_FOUND


async def test_silent_resolver_is_a_dns_timeout(key_facts, stuck):
    facts = await key_facts(None, seconds=0.3)
    assert stuck.acquire(blocking=False)
    assert facts.fault is Fault.DNS_TIMEOUT
    assert facts.phase_reached is Phase.DNS
    assert facts.phases[Phase.DNS] == pytest.approx(0.3, abs=0.15)


@pytest.mark.usefixtures("stuck")
async def test_wait_for_a_thread_is_no_fault_of_the_resolver(session_to, pool):
    held = [asyncio.create_task(pool.run(socket.getaddrinfo)) for _ in range(8)]
    await asyncio.sleep(0)
    async with session_to(None) as session:
        with pytest.raises(PoolExhausted):
            await get_key(session, 0.1)
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_late_thread_is_no_fault_of_the_resolver(session_to, replace_resolver, pool):
    free, over = threading.Event(), threading.Event()
    replace_resolver(lambda *_args, **_kwargs: over.wait(10))
    held = [asyncio.create_task(pool.run(free.wait)) for _ in range(8)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.25, free.set)
    async with session_to(None) as session:
        with pytest.raises(PoolExhausted):
            await get_key(session, 0.35)
    over.set()
    await asyncio.gather(*held)


@pytest.mark.usefixtures("stuck")
async def test_cancelled_wait_for_a_thread_raises_cancelled_error(session_to, pool):
    held = [asyncio.create_task(pool.run(socket.getaddrinfo)) for _ in range(8)]
    await asyncio.sleep(0)

    async def one():
        async with session_to(None) as session:
            await get_key(session, 60)

    task = asyncio.create_task(one())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for other in held:
        other.cancel()
    await asyncio.gather(*held, return_exceptions=True)


async def test_dead_names_do_not_delay_a_healthy_one(session_to, key_facts, serve, fake_vault, replace_resolver):
    real, over = socket.getaddrinfo, threading.Event()

    def some_are_dead(name, *args, **kwargs):
        if name != "localhost":
            over.wait(10)
        return real(name, *args, **kwargs)

    replace_resolver(some_are_dead)
    wire = await serve(fake_vault)

    async def dead():
        async with session_to(None) as session:
            return await get_key(session, 0.5)

    dying = [asyncio.create_task(dead()) for _ in range(7)]
    await asyncio.sleep(0.05)
    facts = await key_facts(None, connect_to={f"{VAULT}:443": f"localhost:{wire.port}"}, seconds=0.4)
    assert facts.fault is Fault.NONE
    assert {facts.fault for facts in await asyncio.gather(*dying)} == {Fault.DNS_TIMEOUT}
    over.set()


async def test_most_specific_failure_of_several_addresses_counts(key_facts, replace_resolver, free_port):
    def two(*_args, **_kwargs):  # a multicast address fails at once
        hosts = ("224.0.0.1", "127.0.0.1")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, free_port)) for host in hosts]

    replace_resolver(two)
    assert (await key_facts(None, connect_to={f"{VAULT}:443": f"vault.example:{free_port}"})).fault is Fault.CONNECT_REFUSED


async def test_address_without_a_route_is_network_down(key_facts):
    facts = await key_facts(None, connect_to={f"{VAULT}:443": "224.0.0.1:443"})
    assert facts.fault is Fault.NETWORK_DOWN
    assert facts.phase_reached is Phase.CONNECT


async def test_second_address_is_tried_if_the_first_refuses(key_facts, replace_resolver, serve, fake_vault):
    wire = await serve(fake_vault)

    def two(_name, port, **_kwargs):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]

    replace_resolver(two)
    assert (await key_facts(None, connect_to={f"{VAULT}:443": f"vault.example:{wire.port}"})).fault is Fault.NONE


def test_hosts_and_ports_are_split_with_and_without_brackets():
    assert split_host_port("Contoso.Vault.azure.net:443") == ("contoso.vault.azure.net", 443)
    assert split_host_port("[2001:db8::1]:8443") == ("2001:db8::1", 8443)
