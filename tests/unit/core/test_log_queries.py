"""The queries of a vault's log with the names of a vault and a key."""

from exporter.core.connector import LOG_SCRIPTS, fill_query, log_query, one_line

QUERY = 'let vault = "contoso";   // host\nlet key_limit = 500;\nT\n| where vault == "x"; let vault = 1;\n'


def test_only_the_first_statement_of_a_name_is_filled():
    assert fill_query(QUERY, {"vault": "a.b", "key_limit": 2000, "absent": "x"}) == QUERY.replace('"contoso"', '"a.b"').replace(
        "500", "2000"
    )


def test_script_is_a_query_with_the_values():
    query = log_query("key-users.kql", vault="a.b", key="K")
    assert query.splitlines()[4:6] == [
        'let vault = "a.b";   // host name of the vault',
        'let key = "K";                   // name of the key; every version counts',
    ]
    assert query != LOG_SCRIPTS["key-users.kql"].rstrip()
    assert not query.endswith("\n")


def test_one_line_has_no_comments_and_keeps_addresses():
    script = '// What it shows.\nlet vault = "a.b";   // host name\nT\n    // of the vault\n    | where Uri startswith strcat("https://", vault)\n'
    assert one_line(script) == 'let vault = "a.b"; T | where Uri startswith strcat("https://", vault)'
