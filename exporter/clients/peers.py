"""Requests to the APIs of running exporters and of Prometheus, within limits.

A failed exchange with an exporter is a value, one with Prometheus a HistoryError: one line with the action. Credentials are sent only to
the server of the URL: redirects are not followed.
"""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import aiohttp

from exporter.core import json
from exporter.runtime.errors import number_of, text_of
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole

TARGETS, SQL_SERVERS = "api/v1/targets", "api/v1/sql-servers"  # paths below the base URL
LARGEST_RESPONSE = 64 * 1024 * 1024  # bytes; docs/sql-servers.md has the number of SQL Servers
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}  # no compressed response can grow beyond the limit


# What is wrong with an exchange: no whole response, a refusal, no such path, a response that no exporter gives.
FetchProblem = Literal["unreachable", "refused", "missing", "foreign"]
_PROBLEMS: Mapping[int, FetchProblem] = {401: "refused", 403: "refused", 421: "refused", 404: "missing"}  # by status


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why there is no list."""

    problem: FetchProblem
    cause: str


class AccessError(Exception):
    """Why URL, user or certificate file cannot be used, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """The address of an exporter or of Prometheus, and how to sign in."""

    url: str  # with a slash at its end
    timeout: float
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)  # instead of them
    ca_file: Path | None = None


def check_password(access: ApiAccess) -> None:
    """Refuse to send a password in clear text over a network. Raises AccessError."""
    if access.user is not None and access.url.startswith("http:") and not on_loopback(urlsplit(access.url).hostname or ""):
        raise AccessError("--web.user: the password would be sent without TLS: use an https URL")


def on_loopback(host: str) -> bool:
    """Return whether a host of a URL is this one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def parse_url(text: str, port: int = 10377, flags: str = "--web.user and --web.password.file") -> str:
    """Return the base URL of a server. `port` and `flags` are for texts. Raises ValueError with a text for the user."""
    try:
        url = urlsplit(text)
        complete = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and text.isprintable()
    except ValueError:
        complete = False
    if not complete or " " in text:
        raise ValueError(f"not an http or https URL: write http://HOST:{port}")
    if "@" in url.netloc:
        raise ValueError(f"the URL has a user: use {flags}")
    if "?" in text or "#" in text:
        raise ValueError("the URL has a query: write the address of the server alone")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}/"


async def fetch_list(access: ApiAccess, path: str) -> bytes | FetchFailure:
    """Return the body of the response of a path. Raises AccessError."""
    tls = trust(access.ca_file, "--web.ca.file")
    try:
        async with _session(access) as session:
            status, data = await _exchange(session.get(f"{access.url}{path}", allow_redirects=False, ssl=tls), LARGEST_RESPONSE)
    except TimeoutError:
        return FetchFailure("unreachable", f"no whole response within {access.timeout:g} s")
    except _NO_RESPONSE as error:
        return FetchFailure("unreachable", cause_text(error, "--web.ca.file"))
    if status != 200:
        problem = _PROBLEMS.get(status, "foreign")
        return FetchFailure(problem, f"{'' if problem == 'refused' else 'it has '}HTTP status {status}")
    return FetchFailure("foreign", f"it is larger than {LARGEST_RESPONSE // 1024**2} MiB") if data is None else data


_NO_RESPONSE = (aiohttp.ClientError, OSError, ValueError)


def _session(access: ApiAccess) -> aiohttp.ClientSession:
    timeout, headers = aiohttp.ClientTimeout(total=access.timeout), dict(_HEADERS)
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    elif access.user is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{access.user}:{access.password}'.encode()).decode()}"
    return aiohttp.ClientSession(timeout=timeout, headers=headers, auto_decompress=False)


async def _exchange(sent: AbstractAsyncContextManager[aiohttp.ClientResponse], limit: int) -> tuple[int, bytes | None]:
    """Return the status of a response and its body: None if it is larger than the limit, empty unless the status is 200."""
    data = bytearray()
    async with sent as response:
        if response.status == 200:
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > limit:
                    return response.status, None
        return response.status, bytes(data)


def trust(ca_file: Path | None, flag: str) -> ssl.SSLContext | bool:
    """Return the trust in the CA of a flag's file, or in the system's. Raises AccessError."""
    if ca_file is None:
        return True
    with contextlib.suppress(ssl.SSLError, ValueError):
        try:
            text = read_whole(ca_file, limit=CERTIFICATE_LIMIT).decode("utf-8")
        except FileUnreadableError as error:
            raise AccessError(f"{flag}: {ca_file}: {error}") from None
        if blocks := _PEM.findall(text):  # without the comments between them, which may not be ASCII
            return ssl.create_default_context(cadata="\n".join(blocks))
    raise AccessError(f"{flag}: {ca_file}: no certificate in PEM: export the CA as Base64")


# The first entry of this type gives the cause.
_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "its certificate is not trusted: name its CA with {flag}"),
    (aiohttp.ClientSSLError, "TLS failed: is https served there?"),
    (aiohttp.ClientConnectorDNSError, "its host name is not resolved"),
    (aiohttp.ClientConnectorError, "the connection failed"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without a response"),
    (aiohttp.ClientPayloadError, "the response ended early"),
    (aiohttp.ClientResponseError, "it is no HTTP response, or one with too long headers"),
    (BaseException, "the request failed"),
)


def cause_text(error: BaseException, flag: str) -> str:
    """Return a short cause without texts of libraries, which may contain anything. `flag` names the CA's file."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return "the connection was refused"
    if type(error) is aiohttp.ClientConnectorError and (number := number_of(error.os_error)) is not None:
        return text_of(number)
    return next(cause for kind, cause in _CAUSES if isinstance(error, kind)).format(flag=flag)


LARGEST_PROMETHEUS_RESPONSE = 32 * 1024 * 1024  # bytes; a slice has about 10 MB
CA_FLAG = "--prometheus.ca.file"
_ACTIONS: Mapping[int, str] = {
    401: "it requires other credentials: use --prometheus.user and --prometheus.password.file, or --prometheus.token.file",
    403: "it refuses this user: allow the user to read",
    404: "it has no API of Prometheus there: write the URL without /api, with the prefix of --web.external-url",
    422: "it could not execute the query: raise --query.max-samples and --query.timeout of Prometheus",
    503: "it gave up or is overloaded: raise --query.timeout of Prometheus, or try again later",
}


class HistoryError(Exception):
    """Why Prometheus gave no history, and what to do."""


class UnreadableHistoryError(HistoryError):
    """Prometheus answered with something that is no history, or with too much of it."""


class PrometheusApi:
    """A session with one Prometheus. Use it as an asynchronous context manager."""

    def __init__(self, access: ApiAccess) -> None:
        """Read the CA file, and open the session. Raises AccessError."""
        self._access, self._shown = access, access.url.rstrip("/")
        self._tls = trust(access.ca_file, CA_FLAG)
        self._session = _session(access)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._session.close()

    async def get(self, path: str, form: Mapping[str, str] | None = None, *, optional: bool = False) -> Any:
        """Return `data` of a response. Raises HistoryError.

        A form is sent by POST. An optional path that this server does not have gives None.
        """
        method = "GET" if form is None else "POST"
        sent = self._session.request(method, self._access.url + path, data=form, allow_redirects=False, ssl=self._tls)
        try:
            status, body = await _exchange(sent, LARGEST_PROMETHEUS_RESPONSE)
        except TimeoutError:
            late = f"{self._shown} gave no whole response within {self._access.timeout:g} s: raise --timeout"
            raise HistoryError(late) from None
        except _NO_RESPONSE as error:
            cause = cause_text(error, CA_FLAG)
            raise HistoryError(f"{self._shown} is unreachable, {cause}: check the URL and the network") from None
        if optional and status in (400, 404, 405, 501):
            return None
        if status != 200:
            action = _ACTIONS.get(status, "is it Prometheus?")
            raise HistoryError(f"{self._shown} responded with HTTP status {status}: {action}")
        document = None
        try:
            document = None if body is None else json.parse(body.decode("utf-8"), json.MOST_OF_RESPONSE)
        except json.TooManyValuesError:
            body = None
        except ValueError:  # no JSON
            pass
        if body is None:
            raise UnreadableHistoryError(
                f"{self._shown} sent more than {LARGEST_PROMETHEUS_RESPONSE // 1024**2} MiB or {json.MOST_OF_RESPONSE} values: "
                "is it the Prometheus of the exporters?"
            )
        if not isinstance(document, dict) or document.get("status") != "success" or "data" not in document:
            raise UnreadableHistoryError(f"{self._shown} is no Prometheus: its response is not that of the API: check the URL")
        return document["data"]
