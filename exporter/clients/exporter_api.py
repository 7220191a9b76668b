"""Fetch lists from the API of a running exporter, within limits.

They are those of its targets and of its SQL Servers.

A failure of the exchange is a value. The password is sent only to the exporter of the URL: redirects are not followed.
"""

from __future__ import annotations

import base64
import re
import ssl
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole
from exporter.runtime.os_errors import number_of, text_of

TARGETS, SQL_SERVERS = "api/v1/targets", "api/v1/sql-servers"  # paths below the base URL
LARGEST_RESPONSE = 64 * 1024 * 1024  # bytes; docs/sql-servers.md has the number of SQL Servers
REFUSALS = (401, 403, 421)
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}  # no compressed response can grow beyond the limit


class FetchProblem(Enum):
    """What is wrong with an exchange."""

    UNREACHABLE = auto()  # no whole response
    REFUSED = auto()
    MISSING = auto()  # no such path
    FOREIGN = auto()  # a response that no exporter gives


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """Why there is no list."""

    problem: FetchProblem
    cause: str


class AccessError(Exception):
    """Why URL, user or certificate file cannot be used, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """The exporter's address, and how to sign in."""

    url: str  # with a slash at its end
    timeout: float
    user: str | None = None
    password: str | None = field(default=None, repr=False)
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
    timeout = aiohttp.ClientTimeout(total=access.timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=_headers(access), auto_decompress=False) as session,
            session.get(f"{access.url}{path}", allow_redirects=False, ssl=tls) as response,
        ):
            if response.status in REFUSALS:
                return FetchFailure(FetchProblem.REFUSED, f"HTTP status {response.status}")
            if response.status != 200:
                problem = FetchProblem.MISSING if response.status == 404 else FetchProblem.FOREIGN
                return FetchFailure(problem, f"it has HTTP status {response.status}")
            data = await body_within(response, LARGEST_RESPONSE)
    except TimeoutError:
        return FetchFailure(FetchProblem.UNREACHABLE, f"no whole response within {access.timeout:g} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return FetchFailure(FetchProblem.UNREACHABLE, cause_text(error, "--web.ca.file"))
    return FetchFailure(FetchProblem.FOREIGN, f"it is larger than {LARGEST_RESPONSE // 1024**2} MiB") if data is None else data


def _headers(access: ApiAccess) -> dict[str, str]:
    if access.user is None:
        return _HEADERS
    pair = base64.b64encode(f"{access.user}:{access.password}".encode()).decode()
    return {**_HEADERS, "Authorization": f"Basic {pair}"}


async def body_within(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body, None if it is larger than the limit."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)


def trust(ca_file: Path | None, flag: str) -> ssl.SSLContext | bool:
    """Return the trust in the CA of a flag's file, or in the system's. Raises AccessError."""
    if ca_file is None:
        return True
    try:
        text = read_whole(ca_file, limit=CERTIFICATE_LIMIT).decode("utf-8")
        return ssl.create_default_context(cadata=_certificates(text))
    except FileUnreadableError as error:
        raise AccessError(f"{flag}: {ca_file}: {error}") from None
    except (ssl.SSLError, ValueError):
        raise AccessError(f"{flag}: {ca_file}: no certificate in PEM: export the CA as Base64") from None


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


def _certificates(text: str) -> str:
    """Return the PEM blocks without the comments between them, which may not be ASCII."""
    blocks = _PEM.findall(text)
    if not blocks:
        raise ValueError("no certificate")
    return "\n".join(blocks)


def cause_text(error: BaseException, flag: str) -> str:
    """Return a short cause without texts of libraries, which may contain anything. `flag` names the CA's file."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        return "the connection was refused"
    if type(error) is aiohttp.ClientConnectorError and (number := number_of(error.os_error)) is not None:
        return text_of(number)
    return next(cause for kind, cause in _CAUSES if isinstance(error, kind)).format(flag=flag)
