"""Foreign texts are masked and stay readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.secrets import LIMIT, mask

GUID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"tenant {GUID} not found", "tenant <id> not found"),
        ("Client address: 203.0.113.10.", "Client address: <address>."),
        ("from 2001:db8:0:0:0:0:0:1 to", "from <address> to"),
        ("from 2001:db8::1, to ::1.", "from <address>, to <address>."),
        ("client_secret=abc~DEF&grant_type=x", "client_secret=<secret>&grant_type=x"),
        ('{"access_token": "short"}', '{"access_token": "<secret>"}'),
        ("Authorization: Bearer abcdefghijklmnop", "Authorization: Bearer <token>"),
        ("eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJ4In0.c2ln is old", "<token> is old"),
        ("proxy http://user:pa55word@proxy:3128/", "proxy http://<secret>@proxy:3128/"),
        ("proxy http://user:pa@55word@proxy:3128/", "proxy http://<secret>@proxy:3128/"),
        ("proxy socks5://:pa55word@proxy", "proxy socks5://<secret>@proxy"),
        ("see https://host:443/path@x", "see https://host:443/path@x"),
        ('password: "two short words", next', 'password: "<secret>", next'),
        ("{'client_secret': 'abc~DEF'}", "{'client_secret': '<secret>'}"),
        (r"{\"client_secret\": \"abc~DEF\"}", r"{\"client_secret\": \"<secret>\"}"),
        ("Uid=u;Pwd=hunter2;Server=s", "Uid=u;Pwd=<secret>;Server=s"),
        ("AccountKey=abc==;EndpointSuffix=x", "AccountKey=<secret>;EndpointSuffix=x"),
        ("?sv=2020&sig=ab%2Fcd%3D&se=1", "?sv=2020&sig=<secret>&se=1"),
        ("Proxy-Authorization: NTLM TlRMTVNTUAABAAAAB4IIogAAAAA=", "Proxy-Authorization: NTLM <token>"),
        ("Negotiate YIIJvwYGKwYBBQUCoIIJszCC", "Negotiate <token>"),
        ("Negotiate authentication required", "Negotiate authentication required"),
        ("x" * 45, "<long>"),
        ("0x" + "2C56" * 11, "<long>"),
        ("0x" + "2C56" * 10 + "~" * 4, "<long>"),
        ("thumbprint '0x" + "2C56" * 10 + "'.", "thumbprint '0x" + "2C56" * 10 + "'."),
        ("one\r\ntwo\x00three\u2028", "one two three"),
        ("\x1b[31mred", "[31mred"),
        ("a\u202etxt.exe\u2066b", "a txt.exe b"),
        ("half a pair \ud83d, half a byte \udcff", "half a pair  , half a byte"),
        ("Zugriff f\u00fcr \u30c6\u30b9\u30c8 verweigert", "Zugriff f\u00fcr \u30c6\u30b9\u30c8 verweigert"),
        ("Invalid client secret provided. Use the secret value.", "Invalid client secret provided. Use the secret value."),
        ("Action: 'Microsoft.KeyVault/vaults/keys/unwrap/action'", "Action: 'Microsoft.KeyVault/vaults/keys/unwrap/action'"),
        ("at 12:30:45 on port 443", "at 12:30:45 on port 443"),
    ],
)
def test_a_text_is_masked(text: str, masked: str):
    assert mask(text) == masked


@given(st.text(st.characters(exclude_categories=()), max_size=2000))
def test_any_text_becomes_one_line_of_limited_length(text: str):
    masked = mask(text)
    assert len(masked) <= LIMIT
    assert masked.isprintable()
    masked.encode()


def test_hostile_text_takes_a_limited_time():
    for text in ("a:" * 500_000, "1." * 500_000, "http://" + "a" * 1_000_000, "secret" * 200_000):
        assert len(mask(text)) <= LIMIT
