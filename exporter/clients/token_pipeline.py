"""What replaces azure-identity's pipeline and token cache for one request to Entra ID.

The default policies take as long as the request, and a cache serves no second request: each request has its own credential object.
A release of azure-identity that ignores both still works.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy, ContentDecodePolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from exporter.core.parsing.key_vault import read_object


class TokenPolicy(AsyncHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """The only policy of a token request: it gives the SDK the JSON object of the response.

    The SDK decodes any other response by itself.
    """

    async def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, AsyncHttpResponse]:
        """Send the request, without a repeat or redirect."""
        response = await self.next.send(request)
        response.context[ContentDecodePolicy.CONTEXT_NAME] = read_object(response.http_response.content)
        return response


class NoTokenCache:
    """A token cache for azure-identity that keeps nothing."""

    def search(self, *_: object, **__: object) -> Iterator[dict[str, Any]]:
        """Find no token: the credential object is new."""
        return iter(())

    def add(self, *_: object, **__: object) -> None:
        """Keep no token: `tokens.cache` does."""


NO_TOKEN_CACHE = NoTokenCache()
