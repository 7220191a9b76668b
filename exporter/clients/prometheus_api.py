"""Requests to the HTTP API of Prometheus, within limits.

Every failure is a HistoryError: one line with the action. Credentials are sent only to the URL: redirects are not followed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

from exporter.clients.exporter_api import body_within, cause_text, trust
from exporter.core import bounded_json

LARGEST_RESPONSE = 32 * 1024 * 1024  # bytes; a slice has about 10 MB
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusAccess:
    """The address of Prometheus, and how to sign in."""

    url: str  # with a slash at its end
    timeout: float
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


class PrometheusApi:
    """A session with one Prometheus. Use it as an asynchronous context manager."""

    def __init__(self, access: PrometheusAccess) -> None:
        """Read the CA file. Raises AccessError."""
        self._access, self._shown = access, access.url.rstrip("/")
        self._tls = trust(access.ca_file, CA_FLAG)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        timeout = aiohttp.ClientTimeout(total=self._access.timeout)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=_headers(self._access), auto_decompress=False)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, form: Mapping[str, str] | None = None, *, optional: bool = False) -> Any:
        """Return `data` of a response. Raises HistoryError.

        A form is sent by POST. An optional path that this server does not have gives None.
        """
        status, body = await self._exchange(path, form)
        if optional and status in (400, 404, 405, 501):
            return None
        if status != 200:
            action = _ACTIONS.get(status, "is it Prometheus?")
            raise HistoryError(f"{self._shown} responded with HTTP status {status}: {action}")
        try:
            document = None if body is None else bounded_json.parse(body.decode("utf-8"), bounded_json.MOST_OF_RESPONSE)
        except bounded_json.TooManyValuesError:
            body = document = None
        except ValueError:
            document = None
        if body is None:
            raise UnreadableHistoryError(
                f"{self._shown} sent more than {LARGEST_RESPONSE // 1024**2} MiB or {bounded_json.MOST_OF_RESPONSE} values: "
                "is it the Prometheus of the exporters?"
            )
        if not isinstance(document, dict) or document.get("status") != "success" or "data" not in document:
            raise UnreadableHistoryError(f"{self._shown} is no Prometheus: its response is not that of the API: check the URL")
        return document["data"]

    async def _exchange(self, path: str, form: Mapping[str, str] | None) -> tuple[int, bytes | None]:
        """Return status and body; None for a body above the limit. Raises HistoryError."""
        if self._session is None:
            raise RuntimeError("the session is not open")
        method = "GET" if form is None else "POST"
        try:
            async with self._session.request(
                method, self._access.url + path, data=form, allow_redirects=False, ssl=self._tls
            ) as response:
                body = await body_within(response, LARGEST_RESPONSE) if response.status == 200 else b""
                return response.status, body
        except TimeoutError:
            raise HistoryError(
                f"{self._shown} gave no whole response within {self._access.timeout:g} s: raise --timeout"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause = cause_text(error, CA_FLAG)
            raise HistoryError(f"{self._shown} is unreachable, {cause}: check the URL and the network") from None


def _headers(access: PrometheusAccess) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    elif access.user is not None:
        pair = base64.b64encode(f"{access.user}:{access.password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    return headers
