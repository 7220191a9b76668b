"""A known secret is found in every encoding, in any text around it; foreign texts are masked and stay readable."""

import random
import secrets

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.core.secrets import LIMIT, MARK, SHORTEST, KnownSecrets, keyed_digest, mask, remember, stands_in_bytes
from tests.system.abuse.echoes import ENCODINGS, leaks

SECRET = "Zx9~q&<\"8Q%w'+/\\=0?12#zyxKLm"
TEXTS = (
    "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the client secret value, not its id.",
    "Caller: appid=66666666-7777-8888-9999-000000000000;oid=11111111-2222-3333-4444-555555555555 at https://sts.windows.net/",
    '<html><body class="x">Access denied &amp; logged: 100%25 sure</body></html>',
    "https://contoso.vault.azure.net/keys/ContosoRSAKey0/0123456789abcdef0123456789abcdef",
)


def knowing(secret):
    made = KnownSecrets()
    made.remember(secret)
    return made


@pytest.fixture
def known():
    return knowing(SECRET)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(
    secret=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16, max_size=60), before=st.text(max_size=20)
)
def test_any_secret_is_hidden_in_any_encoding(encoding, secret, before):
    known = knowing(secret)
    encoded = ENCODINGS[encoding](secret)
    hidden = known.hide(f"{before} {encoded} and more")
    assert MARK in hidden
    assert secret not in hidden


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_around_a_hidden_secret_stays(known, encoding):
    encoded = ENCODINGS[encoding](SECRET)
    hidden = known.hide(f"client secret {encoded} refused")
    assert hidden in (f"client secret {MARK} refused", MARK)
    assert leaks(hidden, SECRET) == []


@pytest.mark.parametrize("text", TEXTS)
def test_text_without_a_secret_stays_as_it_is(known, text):
    assert known.hide(text) == text


@given(st.text(max_size=500))
def test_text_without_a_secret_stays_whatever_its_characters(text):
    known = knowing(SECRET)
    assume(SECRET[:SHORTEST].casefold() not in text.casefold())
    assert known.hide(text) == text


def test_short_secret_masks_no_common_word():
    known = knowing("secret!")
    assert known.hide("not a secret!") == "not a secret!"


def test_secret_cut_by_the_end_of_a_text_is_hidden(known):
    assert known.hide(f"sent {SECRET[:SHORTEST]}") == f"sent {MARK}"
    assert known.hide("a " * 2042 + SECRET).endswith(f" {MARK}")


def test_short_text_is_searched_for_each_of_many_secrets(known):
    for _ in range(len(SECRET)):
        known.remember(secrets.token_hex(16))
    assert known.reveals(SECRET)
    assert not known.reveals("Access denied")


def test_least_recently_used_secret_is_forgotten():
    known = KnownSecrets(most=4)
    first, second, third = (secrets.token_hex(16) for _ in range(3))
    for each in (first, second, first, third):
        known.remember(each)
    assert [known.reveals(each) for each in (first, second, third)] == [True, False, True]


def test_forgotten_secrets_free_their_memory():
    known = KnownSecrets(most=8)
    for _ in range(100):
        known.remember(secrets.token_hex(16))
    assert len(known._by_start) <= 8


def test_secret_is_found_in_a_text_checked_before():
    known = knowing("another secret")
    assert not known.reveals(SECRET)
    known.remember(SECRET)
    assert known.reveals(SECRET)


def test_secret_in_the_bytes_of_a_number_is_found():
    remember(SECRET)
    assert stands_in_bytes(b"\x80\x00\xff" + SECRET.encode() + b"\xfe" * 9)
    assert not stands_in_bytes(secrets.token_bytes(256))


def test_mask_hides_known_secrets_before_a_text_is_cut():
    remember(SECRET)
    assert mask(f"{'a ' * 120}{SECRET}", limit=256).endswith(MARK)


def test_tangled_text_is_hidden_in_bounded_time(known):
    soup = "".join(random.Random(1).choices("ab %&\\+;#x41", k=8192))  # noqa: S311 - the same text in every run
    assert known.hide(soup) == MARK
    for text in ("%25" * 3000, "&amp;" * 2000, "\\u005c" * 1500, "QUFB" * 2500, "41" * 5000, "%26amp;\\x25" * 700):
        assert len(known.hide(text)) <= len(text)


def test_secret_with_the_start_of_a_forgotten_one_stays_hidden():
    known = KnownSecrets(most=1)
    for secret in ("same-start-1", "same-start-2"):
        known.remember(secret)
    assert [known.hide(text) for text in ("same-start-1", "same-start-2")] == ["same-start-1", MARK]


NAMES = (
    "contoso-prod.vault.azure.net",
    "https://contoso-prod.vault.azure.net/keys/Key0/0123456789abcdef",
    "payroll-target",
    "Sec1",
)
TOKEN = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + "aB3dEf6h" * 60
POISONS = [*NAMES, "vault.azure.net", "contoso-prod", "payroll-target-of-another", "Payroll-Target"]


@pytest.mark.parametrize("remember", [KnownSecrets.remember, KnownSecrets.remember_token])
@pytest.mark.parametrize("more", ["", "Q7" * 40])
@pytest.mark.parametrize("poison", POISONS)
def test_configured_name_is_never_masked(poison, more, remember):
    known = KnownSecrets()
    remember(known, poison + more)
    known.spare(lambda: NAMES)
    for name in NAMES:
        assert known.hide(f"GET {name} of {name}: {name}") == f"GET {name} of {name}: {name}"


def test_secret_that_contains_a_name_is_masked():
    known = knowing("payroll-target!9zx")
    known.spare(lambda: NAMES)
    assert known.hide("sent payroll-target!9zx to payroll-target") == f"sent {MARK} to payroll-target"


def test_names_of_the_new_configuration_replace_the_old_ones():
    known = knowing("payroll-target")
    known.spare(lambda: NAMES)
    assert known.hide("payroll-target") == "payroll-target"
    known.spare(lambda: ("another",))
    assert known.hide("payroll-target") == MARK


def test_names_are_listed_only_if_a_secret_is_found(known):
    known.spare(lambda: pytest.fail("no secret"))
    assert known.hide("payroll-target") == "payroll-target"


@pytest.mark.parametrize(
    "token", ["", "a", "Forbidden", "contoso-prod", "x9" * 19, "callerisnotauthorizedtoperformthisaction" * 3, "1" * 200]
)
def test_token_without_the_form_of_one_masks_nothing(token):
    known = KnownSecrets()
    known.remember_token(token)
    assert not known.reveals(f"{token} {token}")


@pytest.mark.parametrize("token", [TOKEN, "x9" * 20, "eyJhbGciOiJub25lIn0.eyJtYXJrIjoiVE9LRU4tTUFSSyJ9.c2lnbmF0dXJl"])
def test_token_is_masked(token):
    known = KnownSecrets()
    known.remember_token(token)
    assert known.hide(f"sent {token} now") == f"sent {MARK} now"
    assert known.hide(f"sent {token[:12]}") == f"sent {MARK}"  # cut


@pytest.mark.parametrize("gaps", [10, 200, 2000])
def test_token_with_gaps_is_masked_without_them(gaps):
    known = KnownSecrets()
    known.remember_token("\u200b" * gaps + TOKEN)
    assert known.hide(f"sent {TOKEN} now") == f"sent {MARK} now"


@pytest.mark.parametrize("size", [100, 128, 129, 256, 257, 600])
def test_secret_of_any_length_is_known_by_its_halves(size):
    secret = secrets.token_hex(size // 2 + 1)[:size]
    known = knowing(secret)
    assert known.reveals(f"sent {secret[: size // 2]}")
    assert known.reveals(f"sent {secret[size // 2 :]}") == (size <= 128)


def test_tokens_of_a_server_displace_the_oldest_secrets_only():
    known = KnownSecrets(most=8)
    for number in range(50):
        known.remember_token(f"{number:03}" + "aB3d" * 40)
    assert len(known._order) <= 8


def test_word_is_no_truncated_secret():
    known = KnownSecrets()
    known.remember_token("probefailedagain" + TOKEN)
    assert known.hide("probe failed again") == "probe failed again"


# Masking by shape.

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


def test_digest_tells_key_and_parts_apart():
    digests = [
        keyed_digest(b"k" * 32, b"user", b"secret"),
        keyed_digest(b"l" * 32, b"user", b"secret"),
        keyed_digest(b"k" * 32, b"users", b"ecret"),
        keyed_digest(b"k" * 32, b"usersecret"),
    ]
    assert len(set(digests)) == len(digests)
    assert digests[0] == keyed_digest(b"k" * 32, b"user", b"secret")
    assert b"secret" not in digests[0]
