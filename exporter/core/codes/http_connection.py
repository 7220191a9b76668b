"""The HTTP layer up to a complete answer: starting, connecting, sending, reading. Each row is a call into WinINet.

The classic number stands here; its twin is the first argument of `twins`. Not for: what an answer's status means (see
`http_status`).
"""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import DO_NOT_RESTART, EVENT_LOG, LOOK_AT_THE_ANSWER, NOT_A_VAULT, both_generations, out_of_memory


def _local(code: int, current: int, symbol: str, call: str, summary: str, *more_causes: str) -> tuple[ConnectorError, ...]:
    """A call that Windows answers without sending or receiving anything."""
    return both_generations(
        current,
        ConnectorError(
            code=code,
            symbol=symbol,
            layer=Layer.HTTP,
            category=Category.HOST,
            owner=Owner.DBA,
            summary=summary,
            causes=(
                *more_causes,
                "The SQL Server process is short of handles or memory.",
                "WinINet does not work in the profile of the service account, or software hooks into it.",
            ),
            actions=(
                EVENT_LOG,
                f"Look up `info` of the event line: it is the Windows error of `{call}`.",
                "Retry the statement. If only a restart helps, first make sure that `ekm-exporter probe TARGET` succeeds.",
            ),
            unobservable_because=f"`{call}` works inside Windows on the SQL Server host; no request from outside can make it fail.",
        ),
    )


HTTP_CONNECTION: tuple[ConnectorError, ...] = (
    *both_generations(
        3100,
        out_of_memory(3002, "ErrorHttpCreateHttpClientOutOfMemory", Layer.HTTP, "setting up its HTTP client"),
    ),
    *_local(
        3003,
        3101,
        "ErrorHttpOpenSession",
        "InternetOpen",
        "Windows would not start an Internet session for the connector. Nothing was sent, so vault and network are not to blame.",
    ),
    *_local(
        3004,
        3102,
        "ErrorHttpConnectSession",
        "InternetConnect",
        "Windows would not prepare a session for the vault's host name. Nothing was sent yet: for HTTP this step is local.",
        "IDENTITY of the SQL credential is no plain vault or host name (`https://`, a path or a blank in it).",
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
                "The host has no network it could use: interface down or no route. SQL Server reaches neither Entra ID nor the "
                "vault; encrypted databases stay open only as long as nothing needs the key."
            ),
            causes=(
                "The network interface is down, or lost its address or default route.",
                "Right after boot: the service started before the network was there.",
                "If only the exporter says so: its own host or container has no route, and SQL Server may be fine.",
            ),
            actions=(
                "On the host that reports it, check addresses and routes: `Get-NetIPConfiguration` or `ip route`.",
                "From the SQL Server host: `Test-NetConnection VAULT.vault.azure.net -Port 443`.",
                DO_NOT_RESTART,
                "If it happens at boot, set the SQL Server service to delayed start.",
            ),
        ),
    ),
    *_local(
        3006,
        3104,
        "ErrorHttpOpenRequest",
        "HttpOpenRequest",
        "Windows would not prepare the request. Nothing was sent, so the vault has not even seen it.",
    ),
    *_local(
        3007,
        3105,
        "ErrorHttpAddRequestHeader",
        "HttpAddRequestHeaders",
        "Windows would not take a header (the one with the token, usually) into the request. Nothing was sent.",
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
                "No answer began: the connection to the vault or to Entra ID failed in TCP, in TLS, at the proxy, or in silence. "
                "Open databases go on; a restart, failover or restore would leave them closed."
            ),
            causes=(
                "A firewall, security group or proxy blocks port 443 to the vault or to `login.microsoftonline.com`.",
                "The proxy is wrong or changed. SQL Server takes it from its service account and keeps it until restarted.",
                "TLS fails: an intercepting proxy with an unknown CA, an expired certificate, TLS 1.2 switched off.",
                "A private endpoint was removed or replaced, and its name still leads to the old address.",
                "Service or network too slow: connected, but nothing came within the time allowed.",
            ),
            actions=(
                "Find out which part fails (connect, TLS, proxy, silence): `ekm-exporter probe TARGET`.",
                "From the SQL Server host: `Test-NetConnection VAULT.vault.azure.net -Port 443`; the same for Entra ID's host.",
                DO_NOT_RESTART,
                "In the event line, `info` narrows it down: 12029 connect, 12002 time-out, 12045 or 12175 TLS.",
            ),
        ),
    ),
    *_local(
        3009,
        3107,
        "ErrorHttpGetResponseCode",
        "HttpQueryInfo",
        "An answer came, but Windows could not tell the connector its status. What the vault decided is unknown.",
    ),
    *_local(
        3014,
        3114,
        "ErrorHttpQueryHeader",
        "HttpQueryInfo",
        "An answer came, but Windows failed to hand one of its headers to the connector.",
    ),
    *both_generations(
        3115,
        out_of_memory(3015, "ErrorHttpQueryHeaderOutOfMemoryCopyHeader", Layer.HTTP, "copying a header of an answer"),
    ),
    *both_generations(
        3116,
        out_of_memory(3016, "ErrorHttpQueryHeaderOutOfMemoryReallocBuffer", Layer.HTTP, "making room for a long header"),
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
                "The vault's 401 lacks the `WWW-Authenticate` header, which says where to sign in. Without it the connector "
                "asks for no token, and SQL Server gets no key."
            ),
            causes=(
                "A proxy or gateway strips the header or sends a 401 of its own.",
                NOT_A_VAULT,
            ),
            actions=(
                LOOK_AT_THE_ANSWER,
                "Compare with a vault that works, from the same host; the difference lies on the way.",
                DO_NOT_RESTART,
            ),
        ),
    ),
    *_local(
        3018,
        3118,
        "ErrorHttpQueryHeaderUpdateBufferLength",
        "HttpQueryInfo",
        "An answer came, but Windows and the connector did not agree on how long one of its headers is.",
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
                "An answer began and did not end: cut off, too slow, or far too long. To SQL Server it counts as no answer; "
                "if it stays, databases will not open after a restart."
            ),
            causes=(
                "A firewall, proxy or scanner drops the connection in the middle of an answer.",
                "A slow or lossy line; the rest did not come within the time allowed.",
                "Something other than the vault answers, with a page instead of a few hundred bytes.",
            ),
            actions=(
                "Repeat it a few times: `ekm-exporter probe TARGET`; note after how long it breaks.",
                "Exempt the vault's host from inspection on firewall and proxy, and check the path for loss and MTU.",
                DO_NOT_RESTART,
            ),
        ),
    ),
    out_of_memory(3120, "ErrorHttpGetResponseOutOfMemoryCreateTempBuffer", Layer.HTTP, "reserving room to receive an answer"),
    out_of_memory(3121, "ErrorHttpGetResponseOutOfMemoryGetResultString", Layer.HTTP, "turning a received answer into text"),
    out_of_memory(3122, "ErrorHttpGetResponseOutOfMemoryAppendResponse", Layer.HTTP, "joining the parts of an answer"),
)
