"""A known secret is found in every encoding, in any text around it; other texts stay as they are."""

import quopri
import random
import re
import secrets

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.core.known_secrets import MARK, SHORTEST, KnownSecrets, remember, stands_in_bytes
from exporter.core.masking import mask
from tests.system.abuse.echoes import ENCODINGS, VARIANTS, leaks

FORMS = ENCODINGS | VARIANTS
SECRET = "Zx9~q&<\"8Q%w'+/\\=0?12#zyxKLm"
TEXTS = (
    "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the client secret value, not its id.",
    "Caller: appid=66666666-7777-8888-9999-000000000000;oid=11111111-2222-3333-4444-555555555555 at https://sts.windows.net/",
    '<html><body class="x">Access denied &amp; logged: 100%25 sure</body></html>',
    "https://contoso.vault.azure.net/keys/ContosoRSAKey0/0123456789abcdef0123456789abcdef",
)


@pytest.fixture
def known():
    made = KnownSecrets()
    made.remember(SECRET)
    return made


@pytest.mark.parametrize("encoding", FORMS)
@given(
    secret=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=16, max_size=60), before=st.text(max_size=20)
)
def test_any_secret_is_hidden_in_any_encoding(encoding, secret, before):
    known = KnownSecrets()
    known.remember(secret)
    encoded = FORMS[encoding](secret)
    hidden = known.hide(f"{before} {encoded} and more")
    assert MARK in hidden
    assert secret not in hidden


@pytest.mark.parametrize("encoding", FORMS)
def test_text_around_a_hidden_secret_stays(known, encoding):
    encoded = FORMS[encoding](SECRET)
    hidden = known.hide(f"client secret {encoded} refused")
    assert hidden in (f"client secret {MARK} refused", MARK)
    assert leaks(hidden, SECRET) == []


@pytest.mark.parametrize("line_break", ["=\n", "=\r\n", "= \t\r\n"])
def test_soft_line_breaks_hide_no_secret(known, line_break):
    encoded = quopri.encodestring(SECRET.encode(), quotetabs=True).decode()
    assert MARK in known.hide("sent " + line_break.join(re.findall("=..|.", encoded)))


@pytest.mark.parametrize("text", TEXTS)
def test_text_without_a_secret_stays_as_it_is(known, text):
    assert known.hide(text) == text


@given(st.text(max_size=500))
def test_text_without_a_secret_stays_whatever_its_characters(text):
    known = KnownSecrets()
    known.remember(SECRET)
    assume(SECRET[:SHORTEST].casefold() not in text.casefold())
    assert known.hide(text) == text


def test_short_secret_masks_no_common_word():
    known = KnownSecrets()
    known.remember("secret!")
    assert known.hide("not a secret!") == "not a secret!"


def test_secret_cut_by_the_end_of_a_text_is_hidden(known):
    assert known.hide(f"sent {SECRET[:SHORTEST]}") == f"sent {MARK}"
    assert known.hide("a " * 2042 + SECRET).endswith(f" {MARK}")


def test_least_recently_used_secret_is_forgotten():
    known = KnownSecrets(most=8)
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
    known = KnownSecrets()
    known.remember("another secret")
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
    for text in (
        "%25" * 3000,
        "&amp;" * 2000,
        "\\u005c" * 1500,
        "QUFB" * 2500,
        "IFBEG" * 2000,
        "=3D" * 3000,
        "41" * 5000,
        "%26amp;\\x25" * 700,
    ):
        assert len(known.hide(text)) <= len(text)


def test_forgotten_secrets_with_the_same_start_are_shown_again(known):
    known.remember(SECRET[: len(SECRET) // 2] + "and another second half")
    known.forget_all()
    assert known.hide(SECRET) == SECRET
