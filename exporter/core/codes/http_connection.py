"""The HTTP layer up to a complete response: start, connect, send and read.

Each row is a WinINet call. Rows have the classic number; the first argument of `both_generations` is the counterpart.
`http_status` has the statuses.
"""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.readers import for_dba
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    EVENT_LOG,
    NOT_A_VAULT,
    SHOW_THE_SERVER,
    WHILE_IT_LASTS,
    WITHOUT_THE_KEY,
    both_generations,
    out_of_memory_row,
)


def _local(code: int, current: int, symbol: str, call: str, summary: str, *more_causes: str) -> tuple[ConnectorError, ...]:
    """Build the rows of a local Windows call that sends and receives nothing."""
    return both_generations(
        current,
        ConnectorError(
            code=code,
            symbol=symbol,
            layer=Layer.HTTP,
            category=Category.HOST,
            owner=Owner.DBA,
            summary=summary,
            effect=WHILE_IT_LASTS,
            causes=(
                *more_causes,
                "The SQL Server process has too few handles or too little memory.",
                "WinINet fails in the profile of the service account, or other software intercepts it.",
            ),
            actions=(
                EVENT_LOG,
                f"Look up the `info` number of the event line: it is the Windows error of `{call}`.",
                "Retry the statement. If a restart is needed, first make sure that `ekm-exporter probe TARGET` succeeds.",
            ),
            unobservable_because=f"`{call}` runs inside Windows on the SQL Server host. No request from outside can observe it.",
        ),
    )


HTTP_CONNECTION: tuple[ConnectorError, ...] = (
    *both_generations(
        3100,
        out_of_memory_row(3002, "ErrorHttpCreateHttpClientOutOfMemory", Layer.HTTP, "setting up its HTTP client"),
    ),
    *_local(
        3003,
        3101,
        "ErrorHttpOpenSession",
        "InternetOpen",
        "Windows could not start an Internet session for the connector. Nothing was sent; the vault and the network are not the cause.",
    ),
    *_local(
        3004,
        3102,
        "ErrorHttpConnectSession",
        "InternetConnect",
        "Windows could not prepare a session for the vault's host name. Nothing was sent; this step is local.",
        "IDENTITY of the SQL credential is not a plain vault or host name: it has `https://`, a path or a blank.",
    ),
    *both_generations(
        3103,
        ConnectorError(
            code=3005,
            symbol="ErrorHttpAttemptConnect",
            layer=Layer.HTTP,
            category=Category.NETWORK,
            owner=Owner.NETWORK,
            summary=(
                "The host has no usable network: its interface is down or it has no route. SQL Server cannot reach Entra ID or the "
                "vault."
            ),
            effect=WITHOUT_THE_KEY,
            causes=(
                "The network interface is down, or lost its address or default route.",
                "After boot: the service started before the network was available.",
                "If only the exporter reports it: its own host or container has no route. SQL Server may be unaffected.",
            ),
            actions=(
                "On the affected host, check addresses and routes: `Get-NetIPConfiguration` or `ip route`.",
                "From the SQL Server host: `Test-NetConnection VAULT.vault.azure.net -Port 443`.",
                DO_NOT_RESTART,
                for_dba("If it only occurs at boot, set the SQL Server service to delayed start."),
            ),
        ),
    ),
    *_local(
        3006,
        3104,
        "ErrorHttpOpenRequest",
        "HttpOpenRequest",
        "Windows could not prepare the request. Nothing was sent, so the vault received no request.",
    ),
    *_local(
        3007,
        3105,
        "ErrorHttpAddRequestHeader",
        "HttpAddRequestHeaders",
        "Windows could not add a header to the request, usually the one with the token. Nothing was sent.",
    ),
    *both_generations(
        3106,
        ConnectorError(
            code=3008,
            symbol="ErrorHttpSendRequest",
            layer=Layer.HTTP,
            category=Category.NETWORK,
            owner=Owner.NETWORK,
            summary=(
                "No response from the vault or Entra ID: the connection failed (TCP, TLS, proxy) or timed out. SQL Server gets no key."
            ),
            effect=WITHOUT_THE_KEY,
            causes=(
                "A firewall, security group or proxy blocks port 443 to the vault or to `login.microsoftonline.com`.",
                "The proxy is wrong or has changed. SQL Server reads it from its service account and keeps it until a restart.",
                "TLS fails: a proxy that inspects TLS with an untrusted CA, an expired certificate, or TLS 1.2 disabled.",
                "A private endpoint was removed or replaced, and DNS still returns the old address.",
                "The service or network is slow: the connection succeeded, but no response arrived in time.",
            ),
            actions=(
                "Find out which part fails (connect, TLS, proxy, timeout): `ekm-exporter probe TARGET`.",
                "From the SQL Server host: `Test-NetConnection VAULT.vault.azure.net -Port 443`. Repeat for Entra ID's host.",
                DO_NOT_RESTART,
                "Read `info` in the event line: 12029 is connect, 12002 timeout, 12045 or 12175 TLS.",
            ),
        ),
    ),
    *_local(
        3009,
        3107,
        "ErrorHttpGetResponseCode",
        "HttpQueryInfo",
        "A response arrived, but Windows could not pass its status to the connector. The result is unknown.",
    ),
    *_local(
        3014,
        3114,
        "ErrorHttpQueryHeader",
        "HttpQueryInfo",
        "A response arrived, but Windows could not pass one of its headers to the connector.",
    ),
    *both_generations(
        3115,
        out_of_memory_row(3015, "ErrorHttpQueryHeaderOutOfMemoryCopyHeader", Layer.HTTP, "copying a response header"),
    ),
    *both_generations(
        3116,
        out_of_memory_row(3016, "ErrorHttpQueryHeaderOutOfMemoryReallocBuffer", Layer.HTTP, "allocating space for a long header"),
    ),
    *both_generations(
        3117,
        ConnectorError(
            code=3017,
            symbol="ErrorHttpQueryHeaderNotFound",
            layer=Layer.HTTP,
            category=Category.PROTOCOL,
            owner=Owner.NETWORK,
            summary=(
                "The vault's 401 lacks the `WWW-Authenticate` header, which names the sign-in host. The connector cannot request a "
                "token, so SQL Server gets no key."
            ),
            effect=WITHOUT_THE_KEY,
            causes=(
                "A proxy or gateway removes the header or sends its own 401.",
                NOT_A_VAULT,
            ),
            actions=(
                SHOW_THE_SERVER,
                "Compare with a working vault from the same host. A different response points to the network path.",
                DO_NOT_RESTART,
            ),
        ),
    ),
    *_local(
        3018,
        3118,
        "ErrorHttpQueryHeaderUpdateBufferLength",
        "HttpQueryInfo",
        "A response arrived, but Windows and the connector disagree on the length of one of its headers.",
    ),
    *both_generations(
        3119,
        ConnectorError(
            code=3019,
            symbol="ErrorHttpReadData",
            layer=Layer.HTTP,
            category=Category.NETWORK,
            owner=Owner.NETWORK,
            summary=(
                "A response started but did not finish: truncated, too slow, or far too large. SQL Server treats it as no response."
            ),
            effect=WHILE_IT_LASTS,
            causes=(
                "A firewall, proxy or scanner drops the connection during the response.",
                "The network is slow or loses packets, so the rest did not arrive in time.",
                "Another server responds with a web page instead of a few hundred bytes.",
            ),
            actions=(
                "Repeat `ekm-exporter probe TARGET` a few times, and note how long each one takes to fail.",
                "Exempt the vault's host from inspection on firewall and proxy. Check the network path for loss and MTU.",
                DO_NOT_RESTART,
            ),
        ),
    ),
    out_of_memory_row(3120, "ErrorHttpGetResponseOutOfMemoryCreateTempBuffer", Layer.HTTP, "reserving a buffer for a response"),
    out_of_memory_row(3121, "ErrorHttpGetResponseOutOfMemoryGetResultString", Layer.HTTP, "converting a response to text"),
    out_of_memory_row(3122, "ErrorHttpGetResponseOutOfMemoryAppendResponse", Layer.HTTP, "joining the parts of a response"),
)
