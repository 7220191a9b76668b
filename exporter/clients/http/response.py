"""A recorded HTTP response, and the same response as the SDK's class."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.core.utils import case_insensitive_dict


@dataclass(slots=True)
class RecordedResponse:
    """The response as far as it arrived. `body` is whole only if `complete`."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    complete: bool = False


class SdkResponse(AsyncHttpResponse):
    """A recorded response as the SDK's response class."""

    def __init__(self, request: HttpRequest, recorded: RecordedResponse) -> None:
        self._request, self._recorded = request, recorded

    @property
    def request(self) -> HttpRequest:
        return self._request

    @property
    def status_code(self) -> int:
        return self._recorded.status

    @property
    def headers(self) -> MutableMapping[str, str]:
        return case_insensitive_dict(self._recorded.headers)

    @property
    def reason(self) -> str:
        return ""

    @property
    def content_type(self) -> str | None:
        return self._recorded.headers.get("content-type")

    @property
    def is_closed(self) -> bool:
        return True

    @property
    def is_stream_consumed(self) -> bool:
        return True

    @property
    def encoding(self) -> str | None:
        return "utf-8"

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        """Ignore the value: Azure sends UTF-8, whatever a header declares."""

    @property
    def url(self) -> str:
        return self._request.url

    @property
    def content(self) -> bytes:
        return self._recorded.body

    def body(self) -> bytes:
        return self._recorded.body

    def text(self, encoding: str | None = None) -> str:
        del encoding
        return self._recorded.body.decode("utf-8-sig", errors="replace")

    def json(self) -> Any:
        return json.loads(self.text())

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            raise HttpResponseError(response=self)

    async def read(self) -> bytes:
        return self._recorded.body

    async def iter_raw(self, **_: Any) -> AsyncIterator[bytes]:
        yield self._recorded.body

    async def iter_bytes(self, **_: Any) -> AsyncIterator[bytes]:
        yield self._recorded.body

    async def close(self) -> None:
        """Nothing is open."""

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""
