"""How long a refused login is not tried again."""

from unittest import mock

import pytest

from exporter.sqlserver.errors import lockout_after

HOUR = 3600.0
AT = 1_800_000_000.0
SECRET = b"hunter22-hunter22"
with mock.patch("secrets.token_bytes", bytes):  # a known salt: the short digests of other secrets differ in every run
    LOCKOUT = lockout_after("ekm", SECRET, AT)


@pytest.mark.parametrize("later", [0.0, 1.0, HOUR - 1.0])
def test_lockout_holds_for_an_hour(later):
    assert LOCKOUT.holds("ekm", SECRET, AT + later)


@pytest.mark.parametrize("later", [-1.0, HOUR, 10 * HOUR])
def test_lockout_ends_after_an_hour_or_a_changed_clock(later):
    assert not LOCKOUT.holds("ekm", SECRET, AT + later)


def test_another_secret_or_account_ends_the_lockout():
    assert not LOCKOUT.holds("ekm", SECRET + b"!", AT)
    assert not LOCKOUT.holds("other", SECRET, AT)


def test_lockout_of_a_windows_account_holds():
    assert lockout_after("", b"", AT).holds("", b"", AT)


def test_digest_has_a_salt_and_shows_no_secret():
    other = lockout_after("ekm", SECRET, AT)
    assert other.salt != LOCKOUT.salt
    assert SECRET not in other.digest + other.salt
    assert "hunter22" not in repr(other)


def test_digest_fits_too_many_secrets_to_guess_one():
    assert len(LOCKOUT.digest) == 2
