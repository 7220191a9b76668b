"""The proxy between this host and a service."""

from __future__ import annotations

from functools import partial

from exporter.core.causes import Link
from exporter.core.codes.action_texts import COMPARE_PROXY
from exporter.core.codes.readers import for_exporter
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.reasons.row import ReasonRow, Reply, ShownBy

_UNREACHED = (
    for_exporter("Check host and port of `proxy` in the module: the exporter cannot reach the proxy."),
    "Show whether the proxy responds: `curl -v -p -x http://PROXY https://HOST`.",
    COMPARE_PROXY,
    for_exporter("A private endpoint is reached without a proxy: add the vault to `no_proxy`."),
    DO_NOT_RESTART,
)
_proxy = partial(ReasonRow, reply=Reply.NONE, link=Link.PROXY, shown_by=ShownBy("proxy_{host}"), actions=_UNREACHED)

PROXY: tuple[ReasonRow, ...] = (
    _proxy("proxy_unresolved", "the host name of the proxy did not resolve"),
    _proxy("proxy_unreachable", "the proxy could not be reached"),
    _proxy("proxy_timeout", "the proxy did not respond in time"),
    _proxy("proxy_invalid", "the proxy's response is not HTTP, or its tunnel carries no TLS", is_open=True).advising(
        for_exporter(
            "Check host and port of `proxy` in the module. Another service than a proxy responds there, or a login page does."
        ),
        "Show the response: `curl -v -p -x http://PROXY https://HOST`.",
        COMPARE_PROXY,
        DO_NOT_RESTART,
    ),
    _proxy("proxy_auth", "the proxy requires a user and password, or rejected them").advising(
        "Allow the vault and Entra ID on the proxy without a password: the connector sends none.",
        for_exporter("For the exporter only, set `username` and `password_file` of `proxy` in the module."),
        COMPARE_PROXY,
        DO_NOT_RESTART,
    ),
    _proxy("proxy_status", "the proxy refused the connection", is_open=True).advising(
        "Allow CONNECT to port 443 of the vault and of Entra ID on the proxy. The proxy refused, not the vault.",
        COMPARE_PROXY,
        DO_NOT_RESTART,
    ),
)
