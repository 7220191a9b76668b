"""Options of the web endpoint: the checked flags `--web.*` and `--timeout-offset`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from exporter.web.connections import MAX_UNFINISHED

if TYPE_CHECKING:
    from exporter.web.access_control import AccessControl


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """Checked options of the web endpoint.

    `route_prefix` is the prefix of the served paths, `link_prefix` the prefix in links; both are "" or "/a/b". They differ behind
    a proxy that strips a part of the path. `external_host` is the host and port of the external URL, or "". `timeout_offset` is in
    seconds. `max_requests` limits unfinished responses; 0 sets no limit. `shard_offsets` are the ports of all shards of this host,
    relative to the own port.
    """

    external_host: str = ""
    route_prefix: str = ""
    link_prefix: str = ""
    enable_pages: bool = False
    access_control: AccessControl | None = None  # from the web configuration file
    timeout_offset: float = 0.5
    max_requests: int = MAX_UNFINISHED
    shard_offsets: range = range(1)

    @property
    def requires_authentication(self) -> bool:
        """Whether every client needs a password or a verified certificate."""
        return self.access_control is not None and self.access_control.config.authenticates_every_client


def web_options(
    *,
    external_url: str = "",
    route_prefix: str | None = None,
    enable_pages: bool = False,
    access_control: AccessControl | None = None,
    timeout_offset: float = 0.5,
    max_requests: int = MAX_UNFINISHED,
    shard_offsets: range = range(1),
) -> WebOptions:
    """Check the flags as blackbox_exporter does.

    The default route prefix is the external URL's path.

    Raises ValueError with a one-line message for an invalid external URL or a negative offset.
    """
    host, outside = _external(external_url)
    inside = outside if route_prefix is None else _prefix(route_prefix)
    if not 0 <= timeout_offset < float("inf"):
        raise ValueError(f"--timeout-offset: {timeout_offset:g} is not allowed: give 0 or more seconds")
    return WebOptions(
        external_host=host,
        route_prefix=inside,
        link_prefix=outside if external_url else inside,
        enable_pages=enable_pages,
        access_control=access_control,
        timeout_offset=timeout_offset,
        max_requests=max_requests,
        shard_offsets=shard_offsets,
    )


def _external(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError(f"--web.external-url: {error}") from None
    if parts.scheme not in ("", "http", "https") or bool(parts.scheme) != bool(parts.netloc):
        raise ValueError("--web.external-url: write http://HOST/PATH, https://HOST/PATH or /PATH")
    if parts.query or parts.fragment:
        raise ValueError("--web.external-url: remove the query and the fragment")
    return parts.netloc.rpartition("@")[2], _prefix(parts.path)


def _prefix(path: str) -> str:
    stripped = path.strip("/")
    if any(character in stripped for character in ' {}?#"') or not stripped.isprintable():
        raise ValueError(f"--web.route-prefix: {path!r} cannot be a path: write /PATH without spaces, braces, quotes, ? and #")
    return f"/{stripped}" if stripped else ""
