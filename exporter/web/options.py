"""How the web endpoint was asked to present itself, from the command line.

For: the flags `--web.*` and `--timeout-offset`, checked, and the two prefixes derived from them.
Not for: what the configuration file says, which may change while the exporter runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from exporter.web.answers import MOST_ANSWERS
from exporter.web.webconfig import AccessControl


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """`route_prefix` is where the paths are served, `link_prefix` where a browser finds them; both "" or "/a/b".

    They differ behind a proxy that strips a part of the path. `external_host` is the host (and port) of the external URL, ""
    where there is none. `timeout_offset` in seconds. `max_requests` bounds unfinished answers; 0 sets no bound.
    """

    external_host: str = ""
    route_prefix: str = ""
    link_prefix: str = ""
    enable_pages: bool = False
    lock: AccessControl | None = None  # what the web configuration file says
    timeout_offset: float = 0.5
    max_requests: int = MOST_ANSWERS

    @property
    def locked(self) -> bool:
        """Whether nobody comes in who has not shown who they are: by a password or a verified certificate."""
        return self.lock is not None and self.lock.asks_everybody


def web_options(
    *,
    external_url: str = "",
    route_prefix: str | None = None,
    enable_pages: bool = False,
    lock: AccessControl | None = None,
    timeout_offset: float = 0.5,
    max_requests: int = MOST_ANSWERS,
) -> WebOptions:
    """The options as blackbox_exporter reads them: the route prefix is the external URL's path unless it is given.

    Raises ValueError with one clear line for an external URL that is none and for a negative offset.
    """
    host, outside = _external(external_url)
    inside = outside if route_prefix is None else _prefix(route_prefix)
    if not 0 <= timeout_offset < float("inf"):
        raise ValueError(f"--timeout-offset: {timeout_offset} is not a number of seconds")
    return WebOptions(
        external_host=host,
        route_prefix=inside,
        link_prefix=outside if external_url else inside,
        enable_pages=enable_pages,
        lock=lock,
        timeout_offset=timeout_offset,
        max_requests=max_requests,
    )


def _external(url: str) -> tuple[str, str]:
    if not url:
        return "", ""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"--web.external-url: {error}") from None
    if parts.scheme not in ("", "http", "https") or bool(parts.scheme) != bool(parts.netloc):
        raise ValueError("--web.external-url: write http://HOST/PATH, https://HOST/PATH or /PATH")
    if parts.query or parts.fragment:
        raise ValueError("--web.external-url: neither a query nor a fragment may follow the path")
    return parts.netloc.rpartition("@")[2], _prefix(parts.path)


def _prefix(path: str) -> str:
    stripped = path.strip("/")
    if any(character in stripped for character in '{}?#"') or stripped != stripped.strip() or not stripped.isprintable():
        raise ValueError(f"--web.route-prefix: {path!r} cannot be a path")
    return f"/{stripped}" if stripped else ""
