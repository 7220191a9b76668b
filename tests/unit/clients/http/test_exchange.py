"""Requests and responses of the transport: repeats, closed connections, headers, and what it raises."""

import asyncio
import gc
from types import SimpleNamespace

import aiohttp
import pytest
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest

from exporter.clients.entra import fetch_token
from exporter.clients.http.exchange import CURRENT, MOST_RECEIVED_BYTES, TRANSPORT, USER_AGENT, Exchange, TooMuchReceivedError
from exporter.clients.key_vault import VaultSession
from exporter.config.settings import Credential, Proxy
from exporter.core.values import Challenge, CredentialKind, Facts, Fault, Outcome, Phase, Step
from exporter.knowledge.report import StepResult
from exporter.metrics.recorder import Recorder
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop import LoopLag
from tests.support.factories import a_report
from tests.support.tls_server import (
    CHALLENGE,
    ENTRA,
    TENANT,
    TOKEN,
    VAULT,
    FakeVault,
    closes,
    get_key,
    is_silent,
    keeps_open,
    resets,
    response,
    until,
    writes,
)
from tests.support.web_server import until as eventually
from tests.unit.clients.http.test_network import tunnel
from tests.unit.clients.http.test_timing import CountingLimiter
from tests.unit.probing.test_prober import CONFIG
from tests.unit.probing.test_prober import TARGET as PROBED

# The transport raises what azure-core's own transport raises.

URL = "https://vault.example/keys"
KEY = SimpleNamespace(ssl=True, host="vault.example", port=443, is_ssl=True)
ERRORS = (
    aiohttp.ClientConnectorError(KEY, OSError(111, "refused")),
    aiohttp.ClientResponseError(SimpleNamespace(real_url=URL), ()),
    aiohttp.ClientPayloadError("cut"),
    aiohttp.ConnectionTimeoutError("slow"),
    aiohttp.SocketTimeoutError("slow"),
    aiohttp.ServerDisconnectedError(),
    aiohttp.InvalidURL(URL),
    TimeoutError("slow"),
    OSError(9, "bad descriptor"),
    ValueError("wrong"),
)
NAMES = [type(error).__name__ for error in ERRORS]


class Content:
    """A body that fails when it is read."""

    def __init__(self, error):
        self.error = error

    async def readany(self):
        raise self.error

    async def read(self, _size):
        raise self.error


class Session:
    """A session whose requests, or whose bodies, fail."""

    auto_decompress = False

    def __init__(self, *, sending=None, reading=None):
        self.sending, self.content = sending, Content(reading)
        self.closed = 0
        self.status, self.headers, self.reason = 200, {}, ""

    async def request(self, *_args, **_options):
        if self.sending is not None:
            raise self.sending
        return self

    async def __aenter__(self):
        return self

    def close(self):
        self.closed += 1


async def failure_of(coroutine):
    with pytest.raises(Exception) as raised:  # noqa: PT011 - the caller compares the class
        await coroutine
    return type(raised.value), type(raised.value.__cause__), str(raised.value)


async def sdk_reads(session):
    transport = AioHttpTransport(session=session, session_owner=False)
    response = await transport.send(HttpRequest("GET", URL), stream=True)
    return [chunk async for chunk in response.iter_raw()]


@pytest.fixture
async def exchange(network_to):
    """An exchange under way."""
    connection = network_to().connection("vault.example", 443)
    made = Exchange("vault.example:443", connection, connection.traffic)
    named = CURRENT.set(made)
    yield made
    CURRENT.reset(named)
    await connection.close()


async def send(exchange, session):
    real, exchange.connection.session = exchange.connection.session, session
    try:
        return await TRANSPORT.send(HttpRequest("GET", URL))
    finally:
        exchange.connection.session = real


@pytest.mark.parametrize("error", ERRORS, ids=NAMES)
async def test_failed_request_raises_as_the_sdk_does(exchange, error):
    raised = await failure_of(send(exchange, Session(sending=error)))
    assert raised == await failure_of(
        AioHttpTransport(session=Session(sending=error), session_owner=False).send(HttpRequest("GET", URL))
    )


@pytest.mark.parametrize("error", [error for error in ERRORS if not isinstance(error, aiohttp.ConnectionTimeoutError)])
async def test_broken_body_raises_as_the_sdk_does_and_closes_the_response(exchange, error):
    session = Session(reading=error)
    raised = await failure_of(send(exchange, session))
    assert raised == await failure_of(sdk_reads(Session(reading=error)))
    assert session.closed == 1
    assert (exchange.response.status_code, exchange.response.complete) == (200, False)


async def test_cancellation_is_passed_on_and_closes_the_response(exchange):
    session = Session(reading=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await send(exchange, session)
    assert session.closed == 1


async def test_request_outside_of_an_exchange_is_refused():
    with pytest.raises(RuntimeError, match="outside of an exchange"):
        await TRANSPORT.send(HttpRequest("GET", URL))


# A request is sent again if the far side closed the kept connection before a byte of the response.


class LosesConnections(FakeVault):
    """A vault that answers the requests with the given numbers, from 1, by `behaviour`."""

    def __init__(self, behaviour, *numbers):
        super().__init__()
        self.behaviour, self.numbers, self.count = behaviour, numbers, 0

    def __call__(self, request):
        self.count += 1
        return self.behaviour if self.count in self.numbers else super().__call__(request)


@pytest.mark.parametrize(
    ("behaviour", "numbers", "faults", "connections"),
    [
        (closes, (2,), {Fault.NONE}, [1, 1, 2]),
        (resets, (2,), {Fault.NONE}, [1, 1, 2]),
        (closes, (2, 3), {Fault.CONNECTION_CLOSED}, [1, 1, 2]),
        (writes(b"HTTP/1.1 2"), (2,), {Fault.CONNECTION_CLOSED}, [1, 1]),  # the response has begun
    ],
    ids=["closed", "reset", "lost again", "begun"],
)
async def test_lost_keep_alive_is_resent_once_on_a_new_connection(serve, session_to, *, behaviour, numbers, faults, connections):
    wire = await serve(LosesConnections(behaviour, *numbers))
    async with session_to(wire) as session:
        first, _ = await session.challenge(deadline=until())
        facts, key = await session.get_key(TOKEN, "Key0", None, deadline=until())
        assert session.connection.sent == len(connections)
    assert (first.resent, facts.resent) == (False, len(connections) == 3)
    assert facts.fault in faults
    assert (key is not None) is (facts.fault is Fault.NONE)
    assert [request.connection for request in wire.requests] == connections
    assert len({request.headers["x-ms-client-request-id"] for request in wire.requests[1:]}) == 1


@pytest.mark.parametrize("behaviour", [closes, resets])
async def test_new_connection_that_is_closed_is_not_resent(serve, session_to, behaviour):
    wire = await serve(LosesConnections(behaviour, 1))
    async with session_to(wire) as session:
        facts, _ = await session.challenge(deadline=until())
    assert (facts.fault in (Fault.CONNECTION_CLOSED, Fault.CONNECTION_RESET), facts.resent) == (True, False)
    assert len(wire.requests) == 1


async def test_resent_requests_are_counted_by_step(monkeypatch):
    recorder = Recorder(CONFIG, version="0", mode="run")
    callbacks = ProberCallbacks(on_internal_error=pytest.fail, on_shortage=pytest.fail, resent=recorder.resent)

    async def report(_probe):
        results = {Step.WRAP_KEY: Facts(resent=True), Step.TOKEN: Facts(resent=True), Step.GET_KEY: Facts()}
        steps = [
            StepResult(step=step, outcome=Outcome.OK, facts=facts, shared=step is Step.TOKEN) for step, facts in results.items()
        ]
        return a_report("a", *steps)

    monkeypatch.setattr("exporter.probing.round_trip.Probe.run", report)
    prober = Prober(CONFIG, lag=LoopLag(), callbacks=callbacks)
    await prober.probe_on_demand(PROBED)
    await prober.aclose()
    lines = recorder.render_own(openmetrics=False).decode().splitlines()
    counts = {step: f'ekm_exporter_resent_requests_total{{step="{step}"}} {float(step is Step.WRAP_KEY)}' for step in Step}
    assert all(line in lines for line in counts.values())


# All requests have one User-Agent.
#
# Audits can therefore separate the exporter's requests from those of SQL Server.

GRANT = {"access_token": TOKEN, "expires_on": "4102444800", "expires_in": "3599", "token_type": "Bearer", "resource": "x"}
PARSED_CHALLENGE = Challenge(authority=f"https://{ENTRA}", tenant=TENANT, resource="https://vault.azure.net")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("AZURE_HTTP_USER_AGENT", "something-of-the-hosts")


def user_agents(wire):
    assert wire.requests
    return {request.headers["user-agent"] for request in wire.requests}


@pytest.mark.parametrize("kind", [CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT])
@pytest.mark.parametrize("imds", [False, True], ids=["App Service", "virtual machine"])
async def test_identity_service_receives_the_user_agent(kind, imds, app_service, network_to, monkeypatch):
    wire = await app_service(response(200, GRANT, Content_Type="application/json"))
    if imds:
        monkeypatch.delenv("IDENTITY_ENDPOINT")
        monkeypatch.delenv("IDENTITY_HEADER")
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{wire.port}")
    answer = await fetch_token(network_to(), Credential(name="vm", kind=kind), None, PARSED_CHALLENGE, deadline=until(5.0))
    assert answer.token == TOKEN
    assert user_agents(wire) == {USER_AGENT}


# A response with `Connection: close`: the next request has a new connection, also to an IP address.

CLOSE = response(401, b"{}", WWW_Authenticate=CHALLENGE, Connection="close")
HOSTS = pytest.mark.parametrize("host", [VAULT, "127.0.0.1"])
PROXIES = pytest.mark.parametrize("proxy_host", ["localhost", "127.0.0.1"])


def answers_and_closes(_request):
    return writes(CLOSE)


def once(later):
    """Answer the first request and close; every later one is for `later`."""
    left = [answers_and_closes]
    return lambda request: left.pop()(request) if left else later


def session_with(network_to, wire, host, **options):
    address = VAULT if host == VAULT else f"{host}:{wire.port}"
    return VaultSession(network_to(wire, **options), address, "7.4")


@HOSTS
@pytest.mark.parametrize("behaviour", [closes, resets])
async def test_lost_answer_of_a_new_connection_is_not_resent(serve, network_to, host, behaviour):
    wire = await serve(once(behaviour))
    async with session_with(network_to, wire, host) as session:
        await session.challenge(deadline=until())
        facts = await get_key(session)
        assert session.connection.sent == 2
    assert facts.fault in (Fault.CONNECTION_CLOSED, Fault.CONNECTION_RESET)
    assert (facts.resent, len(wire.requests)) == (False, 2)
    assert Phase.CONNECT in facts.phases


@HOSTS
async def test_each_new_connection_takes_a_handshake_slot(serve, network_to, host):
    limiter, wire = CountingLimiter(2), await serve(answers_and_closes)

    async def probe():
        async with session_with(network_to, wire, host, limiter=limiter) as session:
            return [(await session.challenge(deadline=until(20.0)))[0] for _ in range(4)]

    found = await asyncio.gather(*(probe() for _ in range(5)))
    assert all(Phase.CONNECT in facts.phases for each in found for facts in each)
    assert (wire.connections, limiter.taken, limiter.held) == (20, 20, 0)


@PROXIES
@pytest.mark.parametrize(
    ("second", "fault"),
    [
        (is_silent, Fault.PROXY_TIMEOUT),
        (response(407, b"", Proxy_Authenticate="Basic"), Fault.PROXY_STATUS),
        (response(503, b""), Fault.PROXY_STATUS),
    ],
    ids=["silent", "407", "503"],
)
async def test_second_connect_to_a_proxy_is_a_new_connection(serve, network_to, proxy_host, second, fault):
    vault = await serve(answers_and_closes)
    connects = [tunnel(vault.port)]
    proxy = await serve(lambda request: connects.pop()(request) if connects else second, tls=False)
    network = network_to(proxy=Proxy(url=f"http://{proxy_host}:{proxy.port}"))
    async with VaultSession(network, VAULT, "7.4") as session:
        await session.challenge(deadline=until())
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(0.5))
    assert (facts.fault, facts.phase_reached, facts.resent) == (fault, Phase.CONNECT, False)


# Servers that send without end: the exchange ends after a bounded number of bytes.

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "interim headers": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 500),
    "blank lines": (b"", b"\r\n" * 10_000),
    "blanks in a header": (b"HTTP/1.1 200 OK\r\nX:", b" " * 20_000),
    "tiny chunks": (HEAD, b"1\r\na\r\n" * 2000),
    "a chunk extension": (HEAD + b"1;", b"a" * 20_000),
}


def flooding(flood, sent):
    first, piece = FLOODS[flood]

    async def floods(_wire, _reader, writer):
        writer.write(first)
        while not writer.is_closing():
            writer.write(piece)
            sent.append(len(piece))
            await writer.drain()
            await asyncio.sleep(0)
        return False

    return floods


@pytest.mark.parametrize("flood", FLOODS)
async def test_flood_ends_long_before_the_deadline(serve, session_to, flood):
    """Parsing it until the deadline would delay every other probe."""
    sent = []
    wire = await serve(lambda _request: flooding(flood, sent))
    async with session_to(wire) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(60))
    assert facts.fault is Fault.BODY_TOO_LARGE, facts
    assert sum(sent) < MOST_RECEIVED_BYTES + 16 * 1024 * 1024  # the rest is in the buffers of the system
    assert len(wire.requests) == 1


@pytest.mark.parametrize("flood", ["interim responses", "blank lines"])
async def test_flood_of_a_proxy_ends_long_before_the_deadline(serve, session_to, flood):
    proxy = await serve(lambda _request: flooding(flood, []), tls=False)
    async with session_to(None, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}")) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(60))
    assert facts.fault is Fault.PROXY_INVALID, facts


async def test_limit_counts_each_exchange_by_itself(serve, session_to):
    large = response(401, b"x" * 1_000_000, WWW_Authenticate=CHALLENGE)
    wire = await serve(lambda _request: large)
    async with session_to(wire) as session:
        for _ in range(3):
            facts, challenge = await session.challenge(deadline=until(60))
            assert (facts.fault, challenge is not None) == (Fault.NONE, True)
    assert wire.connections == 1


@pytest.mark.parametrize(("size", "is_too_large"), [(1_048_576, False), (1_048_577, True)])
async def test_body_of_more_than_a_mebibyte_is_not_read(serve, session_to, size, is_too_large):
    wire = await serve(lambda _request: response(200, b"x" * size))
    async with session_to(wire) as session:
        facts, _ = await session.get_key(TOKEN, "Key0", None, deadline=until(60))
    assert (facts.fault is Fault.BODY_TOO_LARGE) is is_too_large


async def test_response_has_a_quarter_more_bytes_at_most(exchange):
    exchange.traffic.data_read(1_310_720)
    with pytest.raises(TooMuchReceivedError):
        exchange.traffic.data_read(1)


# Bytes after a response: the session raises nothing and closes its sockets.

ANSWERS = {
    "length": b"Content-Length: 2\r\n\r\n{}",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "long": b"Content-Length: 100000\r\n\r\n" + b"z" * 100_000,
}
SURPLUS = {
    "byte": b"x",
    "zeros": bytes(20),
    "much": b"y" * 200_000,
    "answer": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx",
}


# NOT_HTTP if aiohttp parses the surplus together with the response.
EXPECTED = (Fault.NONE, Fault.NOT_HTTP)


def pieces(answer, surplus, cut):
    """The response and the surplus, in one write or several."""
    whole = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {CHALLENGE}\r\n".encode() + answer
    headers = whole.index(b"\r\n\r\n") + 4
    return {
        "whole": [whole + surplus],
        "after headers": [whole[:headers], whole[headers:] + surplus],
        "in the body": [whole[: headers + 1], whole[headers + 1 :] + surplus[:3], surplus[3:]],
        "after the body": [whole, surplus],
    }[cut]


@pytest.fixture(autouse=True)
def older_objects():
    """What the collector does not search: all objects of a whole run would take it a second."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("cut", ["whole", "after headers", "in the body", "after the body"])
@pytest.mark.parametrize("surplus", SURPLUS)
@pytest.mark.parametrize("answer", ANSWERS)
async def test_surplus_bytes_raise_nothing_and_close_the_sockets(serve, session_to, *, answer, surplus, cut):
    surplus_follows = writes(*pieces(ANSWERS[answer], SURPLUS[surplus], cut), then=keeps_open, pause=0.005)
    wire = await serve(lambda _request: surplus_follows)
    async with session_to(wire) as session:
        facts, challenge = await session.challenge(deadline=until())
        after, _ = await session.get_key(TOKEN, "Key0", None, deadline=until())
        sockets = list(session.connection.traffic.sockets)
    assert facts.fault in EXPECTED, facts
    assert (challenge is not None) is (facts.fault is Fault.NONE)
    assert after.fault in (*EXPECTED, Fault.HTTP_STATUS, Fault.ANSWER_EMPTY), after
    await all_closed(sockets)


async def test_failed_close_of_a_session_still_closes_the_sockets(serve, session_to):
    async def fail():
        raise RuntimeError("close failed")

    wire = await serve(FakeVault())
    async with session_to(wire) as session:
        await session.challenge(deadline=until())
        sockets = list(session.connection.traffic.sockets)
        close, session.connection.session.close = session.connection.session.close, fail
    assert len(sockets) == 1
    await all_closed(sockets)
    await close()


async def all_closed(sockets):
    await eventually(lambda: all(each.fileno() == -1 for each in sockets))
    gc.collect()  # an unclosed transport would warn here
