"""Sentences for the messages of a SQL Server that refuses."""

import pytest

from exporter.sqlservers.sql_errors import SqlMessage, error_of, refusal

RIGHT = SqlMessage(300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")
SECOND = SqlMessage(297, 16, "The user does not have permission to perform this action.")
CONTEXT = SqlMessage(5701, 0, "Changed database context to 'master'.")


def test_known_refusal_has_an_action_and_not_the_text_of_the_server():
    messages = (CONTEXT, SqlMessage(18456, 14, "Login failed for user 'inventory'."))
    text = "the login was refused (18456): check --sql.user and the password file; the server's error log shows the reason"
    assert refusal(messages) == text


def test_unknown_refusal_shows_the_masked_text():
    messages = (SqlMessage(9999, 16, "password=hunter22 is wrong"),)
    assert refusal(messages) == "the login failed: message 9999: password=<secret> is wrong"


@pytest.mark.parametrize("messages", [(RIGHT, SECOND), (CONTEXT, RIGHT, SECOND)])
def test_first_error_counts(messages):
    assert error_of(messages) == f"message 300: {RIGHT.text}"


def test_information_counts_without_an_error():
    assert error_of((CONTEXT,)) == f"message 5701: {CONTEXT.text}"
    assert error_of(()) == "SQL Server sent no message"


def test_syntax_error_is_that_of_an_old_server():
    message = SqlMessage(102, 15, "Incorrect syntax near 'JSON'.")
    assert error_of((message,)) == "message 102: Incorrect syntax near 'JSON'. The statement needs SQL Server 2016 or later."
