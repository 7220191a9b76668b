"""Encodings of a secret in responses, and the response fields that can contain one.

Independent of the code that finds secrets in the exporter (`exporter.core.secrets`).
"""

import base64
import functools
import html
import json
from urllib.parse import quote, quote_plus, unquote

from tests.support.tls_server import ENTRA, VAULT, response


def _lower_hex(text):
    return "".join(sign if sign.isalnum() else "".join(f"%{byte:02x}" for byte in sign.encode()) for sign in text)


def _base64(text, before=b""):
    return base64.b64encode(before + text.encode()).decode()


ENCODINGS = {
    "plain": str,
    "quoted": lambda text: quote(text, safe=""),
    "quoted plus": quote_plus,
    "quoted lower": _lower_hex,
    "quoted whole": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "quoted twice": lambda text: quote(quote(text, safe=""), safe=""),
    "base64": _base64,
    "base64 behind one byte": lambda text: _base64(text, b":"),
    "base64 behind two bytes": lambda text: _base64(text, b"a:"),
    "base64 of a pair": lambda text: _base64(text, b"someone:"),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64url bare": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 quoted": lambda text: quote(_base64(text), safe=""),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "base64 twice": lambda text: _base64(_base64(text)),
    "base64 in lines": lambda text: " ".join(_base64(text)[at : at + 12] for at in range(0, len(_base64(text)), 12)),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal upper": lambda text: text.encode().hex().upper(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "hexadecimal with dashes": lambda text: text.encode().hex("-"),
    "bytes in hexadecimal": lambda text: ", ".join(f"0x{byte:02x}" for byte in text.encode()),
    "entities": lambda text: "".join(f"&#{ord(sign)};" for sign in text),
    "entities in hexadecimal": lambda text: "".join(f"&#x{ord(sign):x};" for sign in text),
    "named entities": lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;"),
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON escapes": lambda text: "".join(f"\\u{ord(sign):04x}" for sign in text),
    "byte escapes": lambda text: "".join(f"\\x{ord(sign):02x}" for sign in text),
    "backslashes": lambda text: "".join(sign if sign.isalnum() else f"\\{sign}" for sign in text),
    "upper": str.upper,
    "split": lambda text: " ".join(text[at : at + 5] for at in range(0, len(text), 5)),
    "cut": lambda text: text[: len(text) // 2],
}


def _without_gaps(text):
    return "".join(text.split())


@functools.cache
def _planted(secret):
    return {name: _without_gaps(encode(secret)) for name, encode in ENCODINGS.items()}


def leaks(text, secret):
    """The encodings in which a text contains the secret, also if the text itself is quoted."""
    readings = {text, html.unescape(text), unquote(text), text.replace("\\\\", "\\").replace('\\"', '"')}
    readings = [_without_gaps(reading) for reading in readings]
    return sorted(name for name, form in _planted(secret).items() if any(form in reading for reading in readings))


def _body_of_vault(echo):
    inner = {"code": echo, "message": echo, echo: echo}
    return {"error": {"code": echo, "message": f"AKV10000: the caller sent {echo}", "innererror": inner, echo: echo}}


def _body_of_entra(echo):
    ids = dict.fromkeys(("trace_id", "correlation_id", "error_uri", "suberror", "claims", echo), echo)
    return {"error": echo, "error_description": f"AADSTS7000215: not {echo}", "error_codes": [echo], **ids}


def _headers(echo):
    echo = echo.encode().decode("latin-1")
    names = (
        "x_ms_request_id", "x_ms_client_request_id", "x_ms_keyvault_region", "x_ms_keyvault_service_version", "Retry_After",
        "Server", "x_ms_ests_server", "x_ms_keyvault_network_info", "Date", "client_request_id", "Content_Type",
    )  # fmt: skip
    return dict.fromkeys(names, echo)


def _kid(echo):
    return f"https://{VAULT}/keys/{echo}/{echo}"


def _key_with(echo, document):
    return {**document, "key": {**document["key"], "kty": echo, "kid": document["key"]["kid"], "key_ops": [echo]}}


def _challenge(echo):
    tenant = "11111111-2222-3333-4444-555555555555"
    return f'Bearer authorization="https://{ENTRA}/{tenant}", resource="https://vault.azure.net", scope="{echo}"'


def _cut(answer):
    async def write(_wire, _reader, writer):
        writer.write(answer[:-1])
        return False

    return write


# For each place, the response that contains the echo. `good` is the body of the regular response.
PLACES = {
    "challenge": lambda echo, _good: response(401, _body_of_vault(echo), **_headers(echo), WWW_Authenticate=_challenge(echo)),
    "challenge without a resource": lambda echo, _good: response(401, _body_of_vault(echo), WWW_Authenticate=f"Bearer {echo}"),
    "challenge tenant": lambda echo, _good: response(
        401, WWW_Authenticate=f'Bearer authorization="https://{ENTRA}/{echo}", resource="https://vault.azure.net"'
    ),
    "challenge redirect": lambda echo, _good: response(302, echo.encode(), Location=f"https://x/?s={echo}", **_headers(echo)),
    "token": lambda echo, _good: response(401, _body_of_entra(echo), **_headers(echo)),
    "token page": lambda echo, _good: response(502, f"<html><b>{echo}</b></html>".encode(), **_headers(echo)),
    "token unusable": lambda echo, _good: response(200, {"access_token": f"\u00e9{echo}", "token_type": echo}, **_headers(echo)),
    "get_key": lambda echo, _good: response(403, _body_of_vault(echo), **_headers(echo)),
    "get_key key": lambda echo, good: response(200, _key_with(echo, good), **_headers(echo)),
    "get_key id": lambda echo, good: response(200, {"key": {**good["key"], "kid": _kid(echo)}}, **_headers(echo)),
    "get_key modulus": lambda echo, good: response(
        200, {"key": {**good["key"], "n": base64.urlsafe_b64encode(b"\x80" * 200 + echo.encode().rjust(300)[-300:]).decode()}}
    ),
    "get_key good": lambda echo, good: response(200, good, **_headers(echo)),
    "wrapkey": lambda echo, _good: response(429, _body_of_vault(echo), **_headers(echo)),
    "unwrapkey": lambda echo, _good: response(500, json.dumps({echo: echo}).encode(), **_headers(echo)),
    "unwrapkey cut": lambda echo, _good: _cut(response(200, echo.encode() * 3, **_headers(echo))),
}
