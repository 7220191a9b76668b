"""Sentences for the messages of a SQL Server that refuses; how long a refused login is not tried again."""

import ssl
from unittest import mock

import pytest

from exporter.sqlserver import errors
from exporter.sqlserver.errors import INVENTORY, RUN, SqlMessage, error_of, lockout_after, refusal, refused_login
from exporter.sqlserver.tds import connection_error, timeout_failure

RIGHT = SqlMessage(300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")
SECOND = SqlMessage(297, 16, "The user does not have permission to perform this action.")
CONTEXT = SqlMessage(5701, 0, "Changed database context to 'master'.")


def certificate_errors():
    for code in (18, 20, 10):  # self-signed, unknown issuer, expired
        error = ssl.SSLCertVerificationError()
        error.verify_code, error.verify_message = code, "expired"
        yield error


@pytest.mark.parametrize(
    ("words", "action"),
    [(INVENTORY, "check --sql.user and the password file"), (RUN, "check user and password of this server in sql_servers")],
)
def test_known_refusal_has_an_action_and_not_the_text_of_the_server(words, action):
    message = SqlMessage(18456, 14, "Login failed for user 'inventory'.")
    text = f"the login was refused (18456): {action}; the server's error log shows the reason"
    assert refusal(message, words) == text


def test_unknown_refusal_shows_the_masked_text():
    message = SqlMessage(9999, 16, "password=hunter22 is wrong")
    assert refusal(message, RUN) == "the login failed: message 9999: password=<secret> is wrong"


@pytest.mark.parametrize("number", errors._REFUSALS)
def test_text_for_the_running_exporter_names_no_flag(number):
    text = refusal(SqlMessage(number, 14, ""), RUN)
    assert str(number) in text
    assert not set("{}") & set(text)
    assert "--" not in text
    assert "inventory" not in text


@pytest.mark.parametrize("error", [TimeoutError(), *certificate_errors()])
def test_failure_for_the_running_exporter_names_no_flag(error):
    assert "--" not in str(connection_error(error, "n1", 1433, 15.0, RUN))
    assert "--" in str(connection_error(error, "n1", 1433, 15.0, INVENTORY))


def test_server_that_takes_too_long_has_the_words_of_its_reader():
    assert str(timeout_failure(15.0, RUN)) == "not read to its end within 300 s: find out why the server is slow"
    assert str(timeout_failure(15.0, INVENTORY)) == "not read to its end within 300 s, 20 times --sql.timeout: raise it"


@pytest.mark.parametrize(
    ("number", "refused"),
    [
        *((number, number) for number in (4060, 18450, 18452, 18456, 18470, 18486, 18487, 18488)),
        *((number, 0) for number in (17142, 17187, 17809, 18401, 18451, 18461)),
        *((number, 0) for number in (701, 921, 6005, 9999, 17189, 17197, 40613)),  # no refusal of this login
    ],
)
def test_server_that_refuses_every_login_refuses_none(number, refused):
    assert refused_login(SqlMessage(number, 14, "")) == refused


@pytest.mark.parametrize("messages", [(RIGHT, SECOND), (CONTEXT, RIGHT, SECOND)])
def test_first_error_counts(messages):
    assert error_of(messages) == f"message 300: {RIGHT.text}"


def test_information_counts_without_an_error():
    assert error_of((CONTEXT,)) == f"message 5701: {CONTEXT.text}"
    assert error_of(()) == "SQL Server sent no message"


def test_syntax_error_is_that_of_an_old_server():
    message = SqlMessage(102, 15, "Incorrect syntax near 'JSON'.")
    assert error_of((message,)) == "message 102: Incorrect syntax near 'JSON'. The statement needs SQL Server 2016 or later."


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
