"""`/docs/`: the documentation of the running version, served by every listener."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from aiohttp import hdrs, web

from exporter.presentation.documentation import NOT_BUILT, Documentation
from exporter.web.access import OPEN_PATHS, serves_pages
from exporter.web.options import WebOptions
from exporter.web.server.negotiation import accepts_gzip, header
from exporter.web.server.streaming import encoded, stream
from exporter.web.ui.layout import Urls, foot, head

_HEADERS = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
_UNKNOWN = "No page of the documentation has this name. /docs/ lists all pages.\n"


class DocumentHandler:
    def __init__(self, urls: Urls, options: WebOptions) -> None:
        self._urls = urls
        self._options = options
        self._documentation = Documentation.load()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Return a page, or a redirect. The tag of a page is that of its content, so that an update shows at once."""
        if self._documentation is None:
            return web.Response(status=404, text=NOT_BUILT)
        name = request.match_info["name"]
        page = self._documentation.find(name)
        if page is None:
            return self._elsewhere(self._documentation.moved_to(name))
        served = None if serves_pages(request, self._options) else OPEN_PATHS | {"/docs/"}
        urls = replace(self._urls, served=served)
        start = head(urls, page.title, at="/docs/", heading=False, script=False)
        document = f'{start}<article class="document">{self._documentation.html(page)}</article>{foot(urls)}'
        tag = hashlib.sha256(document.encode()).hexdigest()[:32]
        headers = {**_HEADERS, hdrs.ETAG: f'W/"{tag}"'}  # weak: the same for plain and gzip
        if any(each.value in (tag, "*") for each in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        gzip = accepts_gzip(header(request, hdrs.ACCEPT_ENCODING))
        return await stream(request, encoded([document]), headers=headers, gzip=gzip)

    def _elsewhere(self, moved_to: str | None) -> web.Response:
        """Return a redirect to the new page of an old name. 301, since Windows PowerShell 5.1 does not follow 308."""
        if moved_to is None:
            return web.Response(status=404, text=_UNKNOWN)
        headers = {hdrs.LOCATION: self._urls.to(f"/docs/{moved_to}"), hdrs.CACHE_CONTROL: _HEADERS["Cache-Control"]}
        return web.Response(status=301, headers=headers, text=f"The page is now /docs/{moved_to}.\n")
