"""Sentences of PowerShell, .NET, curl, OpenSSL and resolvers, each with the reason that a probe would report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.reasons import Reason

# Patterns of text in lower case; the first match counts. TLS comes before the connection that ends because of it.
PHRASES: tuple[tuple[re.Pattern[str], Reason], ...] = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"proxy authentication required|\(407\)|\b407 from proxy|tunnel failed, response 407", Reason.PROXY_AUTH),
        (r"http code \d{3} from proxy|tunnel failed, response \d{3}", Reason.PROXY_STATUS),
        (r"could not resolve proxy", Reason.PROXY_UNRESOLVED),
        (r"temporary failure in name resolution|server failure|\bservfail\b", Reason.DNS_TEMPORARY),
        (r"dns (?:request|query) timed out", Reason.DNS_TIMEOUT),
        (
            (
                r"(?:remote|server|host) name (?:or address )?could not be resolved|could not resolve host|no such host|"
                r"name or service not known|dns name does not exist|non-existent domain|\bnxdomain\b|servname provided|"
                r"getaddrinfo failed|name does not resolve"
            ),
            Reason.DNS_NOT_FOUND,
        ),
        (r"certificate (?:has|is) expired|\bnottimevalid\b", Reason.TLS_EXPIRED),
        (r"certificate is not (?:yet valid|valid yet)", Reason.TLS_NOT_YET_VALID),
        (
            (
                r"namemismatch|alternative certificate subject name|hostname mismatch|(?:not|n't) match target host|"
                r"certificate is not valid for|target principal name is incorrect|certificate cn name mismatch"
            ),
            Reason.TLS_WRONG_NAME,
        ),
        (
            (
                r"could not establish trust relationship|chainerrors|unable to get (?:local )?issuer certificate|self[- ]signed certificate|"
                r"unable to verify the first certificate|untrusted ?root|partialchain|issued by an authority that is not trusted|"
                r"remote certificate is invalid|certificate verify failed|certificate chain was issued by"
            ),
            Reason.TLS_UNTRUSTED,
        ),
        (r"wrong version number|http/1\.\d 400 the plain http request", Reason.TLS_NOT_TLS),
        (
            (
                r"could not create ssl/tls secure channel|ssl connection could not be established|handshake failure|"
                r"(?:do not|don't) possess a common algorithm|ssl_error_syscall|unexpected eof while reading|authentication failed, see inner"
            ),
            Reason.TLS_FAILED,
        ),
        (r"actively refused|connection refused", Reason.CONNECT_REFUSED),
        (r"unreachable host|no route to host|host is unreachable", Reason.CONNECT_UNREACHABLE),
        (r"unreachable network|network is unreachable", Reason.NETWORK_DOWN),
        (
            r"did not properly respond|timed out|tcptestsucceeded\s*:\s*false|httpclient\.timeout|connection timeout",
            Reason.CONNECT_TIMEOUT,
        ),
        (r"unable to connect to the remote server|failed to connect to|tcp connect to", Reason.CONNECT_FAILED),
        (
            (
                r"forcibly closed|connection reset by peer|connection was reset|unexpected error occurred on a (?:send|receive)|"
                r"unable to read data from the transport connection"
            ),
            Reason.CONNECTION_RESET,
        ),
        (r"empty reply from server|connection was closed unexpectedly|prematurely ended", Reason.CONNECTION_CLOSED),
        (r"operation is not allowed", Reason.FORBIDDEN_POLICY),
        (r"was not found in this key vault", Reason.KEY_NOT_FOUND),
        (r"managed ?identity ?credential|no managed identity endpoint|\bhimds\b", Reason.IDENTITY_UNAVAILABLE),
        (r"vaultrequesttypelimitreached|too many requests|\bthrottled\b", Reason.THROTTLED),
        (r"\binvalid_client\b", Reason.CREDENTIALS_REFUSED),
        (r"\b(?:unauthorized_client|invalid_request|invalid_resource)\b", Reason.BAD_REQUEST),
    )
)
_CURL = re.compile(r"\bcurl\b(?:: ?\(|[^\n\d]{0,20}\b(?:error|code)\W{1,3}|:? \(?)(\d{1,3})\b(?!\.)")
CURL_REASONS: Mapping[int, Reason] = MappingProxyType(
    {
        5: Reason.PROXY_UNRESOLVED,
        6: Reason.DNS_NOT_FOUND,
        7: Reason.CONNECT_FAILED,
        18: Reason.BODY_TRUNCATED,
        28: Reason.CONNECT_TIMEOUT,
        35: Reason.TLS_FAILED,
        47: Reason.REDIRECT,
        51: Reason.TLS_WRONG_NAME,
        52: Reason.CONNECTION_CLOSED,
        55: Reason.CONNECTION_RESET,
        56: Reason.CONNECTION_RESET,
        60: Reason.TLS_UNTRUSTED,
        97: Reason.PROXY_INVALID,
    }
)


def reason_of_phrase(text: str) -> Reason | None:
    """Return the reason of the first known sentence; None without one."""
    folded = text.casefold()
    return next((reason for pattern, reason in PHRASES if pattern.search(folded)), None)


def curl_number(text: str) -> int | None:
    """Return the number of an error of curl."""
    number = _CURL.search(text.casefold())
    return None if number is None else int(number[1])


def reason_of_curl(text: str) -> Reason | None:
    """Return the reason of an error of curl, by its sentence, else by its number; None for another text."""
    number = curl_number(text)
    return None if number is None else reason_of_phrase(text) or CURL_REASONS.get(number)
