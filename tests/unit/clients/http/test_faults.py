"""The fault of each exception, and the facts of any response."""

import errno
import ssl
from itertools import pairwise

import aiohttp
import pytest
from azure.core.exceptions import ClientAuthenticationError, IncompleteReadError, ServiceRequestError, ServiceResponseError
from azure.identity import CredentialUnavailableError
from hypothesis import given
from hypothesis import strategies as st

from exporter.clients.http.exchange import BodyTooLargeError, ConnectionLostError, HttpExchange, RecordedResponse
from exporter.clients.http.facts import RULES, FailureContext, Stage, facts_from, fault_of
from exporter.clients.http.timing import ExchangeTimer
from exporter.config.settings import SecretSource, SecretUnreadableError
from exporter.core.secrets import LIMIT, remember
from exporter.core.values import Fault

FOUR = tuple(Stage)


def chained(*errors):
    """Chain the exceptions: each is caused by the next one."""
    for outer, inner in pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


def sdk(*errors):
    return chained(ServiceRequestError("the SDK's words"), *errors)


def tls(reason, number=1):
    error = ssl.SSLError(number, f"[SSL: {reason}] words")
    error.reason = reason
    return error


def certificate(code):
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


@pytest.mark.parametrize(
    ("number", "faults"),
    [
        (errno.ECONNREFUSED, (Fault.CONNECT_REFUSED, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.ECONNRESET, (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.EPIPE, (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_CLOSED, Fault.BODY_TRUNCATED)),
        (errno.ECONNABORTED, (Fault.CONNECT_RESET, Fault.TLS_RESET, Fault.CONNECTION_CLOSED, Fault.BODY_TRUNCATED)),
        (errno.ETIMEDOUT, (Fault.CONNECT_TIMEOUT, Fault.TLS_TIMEOUT, Fault.READ_TIMEOUT, Fault.BODY_TIMEOUT)),
        (errno.EHOSTUNREACH, (Fault.CONNECT_UNREACHABLE, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.EHOSTDOWN, (Fault.CONNECT_UNREACHABLE, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.ENETUNREACH, (Fault.NETWORK_DOWN, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.ENETDOWN, (Fault.NETWORK_DOWN, Fault.TLS_RESET, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
        (errno.EACCES, (Fault.CONNECT_FAILED, Fault.TLS_FAILED, Fault.CONNECTION_RESET, Fault.BODY_TRUNCATED)),
    ],
)
def test_error_number_has_a_fault_for_each_stage(number, faults):
    error = sdk(aiohttp.ClientOSError(number, "words"), OSError(number, "words"))
    assert tuple(fault_of(error, FailureContext(stage, via_proxy=False))[0] for stage in FOUR) == faults


@pytest.mark.parametrize(
    ("error", "stage", "fault"),
    [
        (ConnectionResetError(), Stage.TLS, Fault.TLS_RESET),
        (ConnectionAbortedError("SSL handshake is taking longer than 60.0 seconds"), Stage.TLS, Fault.TLS_TIMEOUT),
        (TimeoutError(), Stage.CONNECT, Fault.CONNECT_TIMEOUT),
        (BrokenPipeError(), Stage.WAIT, Fault.CONNECTION_CLOSED),
        (ConnectionRefusedError(), Stage.CONNECT, Fault.CONNECT_REFUSED),
        (tls("WRONG_VERSION_NUMBER"), Stage.TLS, Fault.TLS_NOT_TLS),
        (tls("HTTP_REQUEST"), Stage.TLS, Fault.TLS_NOT_TLS),
        (tls("record_layer_failure"), Stage.TLS, Fault.TLS_NOT_TLS),
        (tls("UNSUPPORTED_PROTOCOL"), Stage.TLS, Fault.TLS_FAILED),
        (tls("TLSV1_ALERT_INTERNAL_ERROR"), Stage.WAIT, Fault.TLS_FAILED),
        (tls("DECRYPTION_FAILED_OR_BAD_RECORD_MAC"), Stage.BODY, Fault.BODY_TRUNCATED),
        (ssl.SSLEOFError(8, "EOF occurred"), Stage.TLS, Fault.TLS_RESET),
        (ssl.SSLEOFError(8, "EOF occurred"), Stage.WAIT, Fault.CONNECTION_CLOSED),
        (ssl.SSLZeroReturnError(6, "closed"), Stage.TLS, Fault.TLS_RESET),
        (certificate(10), Stage.TLS, Fault.TLS_EXPIRED),
        (certificate(9), Stage.TLS, Fault.TLS_NOT_YET_VALID),
        (certificate(62), Stage.TLS, Fault.TLS_WRONG_NAME),
        (certificate(64), Stage.TLS, Fault.TLS_WRONG_NAME),
        *((certificate(code), Stage.TLS, Fault.TLS_UNTRUSTED) for code in (2, 18, 19, 20, 21, 23, 26, 79)),
        (ssl.SSLCertVerificationError("without a code"), Stage.TLS, Fault.TLS_UNTRUSTED),
        (aiohttp.ServerDisconnectedError(), Stage.WAIT, Fault.CONNECTION_CLOSED),
        (aiohttp.SocketTimeoutError(), Stage.WAIT, Fault.READ_TIMEOUT),
        (aiohttp.ConnectionTimeoutError(), Stage.CONNECT, Fault.CONNECT_TIMEOUT),
        (aiohttp.ClientPayloadError("cut"), Stage.BODY, Fault.BODY_TRUNCATED),
        (BodyTooLargeError("big"), Stage.BODY, Fault.BODY_TOO_LARGE),
        (aiohttp.ClientResponseError(None, (), status=400, message="x"), Stage.WAIT, Fault.NOT_HTTP),
        (aiohttp.ClientConnectionError("Connector is closed"), Stage.CONNECT, Fault.CONNECT_FAILED),
        (SecretUnreadableError(SecretSource(env="X"), "is not set"), Stage.CONNECT, Fault.SECRET_UNREADABLE),
        (CredentialUnavailableError("no identity"), Stage.CONNECT, Fault.IDENTITY_UNAVAILABLE),
        (ClientAuthenticationError("no"), Stage.CONNECT, Fault.IDENTITY_UNAVAILABLE),
        (FileNotFoundError(2, "No such file", "/token"), Stage.CONNECT, Fault.IDENTITY_UNAVAILABLE),
        (KeyError("access_token"), Stage.CONNECT, Fault.INTERNAL),
        (RuntimeError("words"), Stage.WAIT, Fault.INTERNAL),
    ],
)
def test_innermost_exception_decides_the_fault(error, stage, fault):
    found, cause = fault_of(sdk(error), FailureContext(stage, via_proxy=False))
    assert found is fault
    assert cause is error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Fault.PROXY_UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, "x"), Fault.PROXY_UNREACHABLE),
        (OSError(errno.ETIMEDOUT, "x"), Fault.PROXY_TIMEOUT),
        (OSError(errno.ENETUNREACH, "x"), Fault.NETWORK_DOWN),
        (aiohttp.ServerDisconnectedError(), Fault.PROXY_UNREACHABLE),
        (aiohttp.ClientResponseError(None, (), status=400, message="x"), Fault.PROXY_INVALID),
    ],
)
def test_failed_connection_to_a_proxy_is_the_proxys_fault(error, fault):
    assert fault_of(sdk(error), FailureContext(Stage.CONNECT, via_proxy=True))[0] is fault


def test_failed_tls_through_a_proxy_is_the_hosts_fault():
    error = sdk(ConnectionResetError(errno.ECONNRESET, "x"))
    assert fault_of(error, FailureContext(Stage.TLS, via_proxy=True))[0] is Fault.TLS_RESET


def test_sdk_exception_with_a_cause_is_ignored():
    cut = chained(IncompleteReadError("x"), aiohttp.ClientPayloadError("cut"))
    lost = chained(ServiceResponseError("x"), ConnectionLostError("x"), aiohttp.ServerDisconnectedError())
    assert fault_of(cut, FailureContext(Stage.BODY, via_proxy=False))[0] is Fault.BODY_TRUNCATED
    assert fault_of(lost, FailureContext(Stage.WAIT, via_proxy=False))[0] is Fault.CONNECTION_CLOSED


def test_most_specific_error_number_of_a_text_counts():
    text = "Multiple exceptions: [Errno 101] Connect call failed ('::1', 443, 0, 0), [Errno 111] Connect call failed"
    assert fault_of(sdk(OSError(text)), FailureContext(Stage.CONNECT, via_proxy=False))[0] is Fault.CONNECT_REFUSED


def test_circular_chain_of_exceptions_is_internal():
    first, second = RuntimeError("a"), RuntimeError("b")
    first.__cause__, second.__cause__ = second, first
    assert fault_of(first, FailureContext(Stage.WAIT, via_proxy=False))[0] is Fault.INTERNAL
    assert fault_of(None, FailureContext(Stage.WAIT, via_proxy=False))[0] is Fault.INTERNAL


def test_no_rule_is_hidden_by_an_earlier_one():
    for index, (kind, _) in enumerate(RULES):
        for earlier, _ in RULES[:index]:
            assert not issubclass(kind, earlier), (kind, earlier)


async def _exchange(status, headers, body, complete):
    answer = RecordedResponse(status=status, headers=headers, body=body, complete=complete)
    timer = ExchangeTimer()
    timer.headers_received()
    timer.finish()
    return HttpExchange(endpoint="host:443", timer=timer, response=answer)


TEXTS = st.binary(max_size=40).map(lambda octets: octets.decode("latin-1"))  # as aiohttp decodes headers
HEADERS = st.dictionaries(
    st.sampled_from(["Date", "Retry-After", "x-ms-request-id", "x-ms-keyvault-region", "x-ms-keyvault-network-info", "X-Else"]),
    st.one_of(
        TEXTS,
        st.integers(-(10**30), 10**30).map(str),
        st.sampled_from(["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Oct 99999 07:28:00 GMT", "conn_type=;addr=1.2.3.4;;="]),
    ),
)


@given(st.integers(0, 1200), HEADERS, st.binary(max_size=200), st.booleans())
async def test_no_response_makes_the_reader_raise(status, headers, body, complete):
    facts = facts_from(await _exchange(status, headers, body, complete))
    assert facts.status == status
    assert len(facts.detail) <= LIMIT
    assert facts.retry_after_seconds is None or 0 <= facts.retry_after_seconds <= 86400
    assert facts.detail.isprintable()


async def test_huge_error_body_is_shortened_and_masked():
    secret = "b" * 10 + "-MARK"
    body = b"<html>\x00\x01 client_secret=abcdefgh 203.0.113.9 " + secret.encode() + b"x" * 500_000
    remember(secret)
    facts = facts_from(await _exchange(500, {}, body, True))
    assert len(facts.detail) <= LIMIT
    for leak in (secret, "abcdefgh", "203.0.113.9", "\x00"):
        assert leak not in facts.detail
