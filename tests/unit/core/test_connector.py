"""The connector's rules for key names and credential strings, and the queries of a vault's log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.connector import (
    LOG_SCRIPTS,
    ConnectorSecret,
    connector_secret_findings,
    fill_query,
    key_name_findings,
    log_query,
    one_line,
    split_connector_secret,
)

ID = "0123456789ABCDEF0123456789abcdef"


@pytest.mark.parametrize(
    ("name", "codes"),
    [("a" * 26, []), ("a" * 27, [2049]), ("Key-0", []), ("key_0", [2049]), ("", [2049]), ("ключ" * 7, [2049, 2049])],
)
def test_a_key_name_is_26_letters_digits_and_hyphens(name, codes):
    assert [finding.code for finding in key_name_findings(name)] == codes


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a" * 31, 2050, "has 31 characters"),
        ("", 2050, "has 0 characters"),
        ("01234567-89ab-cdef-0123-456789abcdefsecret", None, "hyphens"),
        ("g" + "0" * 40, None, "32 hex digits"),
        (ID, None, "append the client secret"),
        (ID + "s" * 89, None, "message 33067"),
    ],
)
def test_each_rule_of_the_credential_string_has_its_finding(text, code, message):
    [finding] = connector_secret_findings(text)
    assert finding.code == code
    assert message in finding.text
    assert split_connector_secret(text) is None


@pytest.mark.parametrize("secret", ["s", "a-b~c.d_e", "s" * 88])
def test_a_valid_string_is_split_into_client_id_and_secret(secret):
    assert connector_secret_findings(ID + secret) == ()
    assert split_connector_secret(ID + secret) == ConnectorSecret("01234567-89ab-cdef-0123-456789abcdef", secret)


@given(st.text(alphabet="XYZ", min_size=3, max_size=130))
def test_no_finding_quotes_the_string(text):
    assert not [finding for finding in connector_secret_findings(text) if text[:3] in finding.text]


# The queries of a vault's log with the names of a vault and a key.

QUERY = 'let vault = "contoso";   // host\nlet key_limit = 500;\nT\n| where vault == "x"; let vault = 1;\n'


def test_only_the_first_statement_of_a_name_is_filled():
    assert fill_query(QUERY, {"vault": "a.b", "key_limit": 2000, "absent": "x"}) == QUERY.replace('"contoso"', '"a.b"').replace(
        "500", "2000"
    )


def test_script_is_a_query_with_the_values():
    query = log_query("key-users.kql", vault="a.b", key="K")
    assert [line for line in query.splitlines() if line.startswith("let ")][:2] == [
        'let vault = "a.b";   // host name of the vault',
        'let key = "K";                   // name of the key; every version counts',
    ]
    assert query != LOG_SCRIPTS["key-users.kql"].rstrip()
    assert not query.endswith("\n")


def test_one_line_has_no_comments_and_keeps_addresses():
    script = '// What it shows.\nlet vault = "a.b";   // host name\nT\n    // of the vault\n    | where Uri startswith strcat("https://", vault)\n'
    assert one_line(script) == 'let vault = "a.b"; T | where Uri startswith strcat("https://", vault)'
