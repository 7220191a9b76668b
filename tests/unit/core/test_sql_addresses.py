"""Names of SQL Servers, files of names, and the answer of SQL Server Browser."""

import pytest

from exporter.core.names import SqlAddress, browser_port, browser_request, parse_address_list, parse_sql_address


@pytest.mark.parametrize(
    ("text", "host", "instance", "port"),
    [
        ("n1", "n1", None, 1433),
        (" n1.contoso.com ", "n1.contoso.com", None, 1433),
        ("n1,1533", "n1", None, 1533),
        ("tcp:n1, 1533", "n1", None, 1533),
        ("n1\\SQLPRD01", "n1", "SQLPRD01", None),
        ("n1\\SQLPRD01,1533", "n1", "SQLPRD01", 1533),
        (".", "localhost", None, 1433),
        ("(local)\\X", "localhost", "X", None),
        ("::1,1533", "::1", None, 1533),
        ("[::1],1533", "::1", None, 1533),
    ],
)
def test_names_of_sqlcmd_are_parsed(text, host, instance, port):
    assert parse_sql_address(text) == SqlAddress(text.strip(), host, instance, port)


@pytest.mark.parametrize(
    "text", ["", "n1 n2", "n1\\", "n1\\a\\b", "n1,", "n1,x", "n1:x y", "schlüssel", "n1:1433", "n1;Database=x", "n1/SQLPRD01"]
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"expected HOST, HOST\\INSTANCE or HOST,PORT"):
        parse_sql_address(text)


@pytest.mark.parametrize("port", [0, 65536])
def test_impossible_port_is_refused(port):
    with pytest.raises(ValueError, match=f"port {port}: expected 1 to 65535"):
        parse_sql_address(f"n1,{port}")


def test_list_has_comments_and_duplicates():
    text = "# production\nn1\n\n  n2,1533  # second\nn1\n"
    assert parse_address_list(text) == (["n1", "n2,1533"], [])


def test_list_names_its_bad_lines():
    names, problems = parse_address_list("n1\nn2 n3\n")
    assert names == ["n1"]
    assert problems == ["line 2: expected HOST, HOST\\INSTANCE or HOST,PORT"]


def answer(text):
    return b"\x05" + len(text).to_bytes(2, "little") + text.encode()


ONE = "ServerName;N1;InstanceName;SQLPRD01;IsClustered;No;Version;16.0.1000.6;tcp;50123;;"


def test_browser_names_the_port():
    assert browser_request("SQLPRD01") == b"\x04SQLPRD01\0"
    assert browser_port(answer(ONE), "sqlprd01") == 50123
    assert browser_port(answer(ONE.replace("SQLPRD01", "OTHER") + ONE), "SQLPRD01") == 50123


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x04" + answer(ONE)[1:],
        answer(ONE.replace("SQLPRD01", "OTHER")),
        answer(ONE.replace("tcp;50123", "np;pipe")),
        answer(ONE.replace("50123", "x")),
        answer(ONE.replace("50123", "99999")),
    ],
)
def test_other_answers_of_browser_have_no_port(data):
    assert browser_port(data, "SQLPRD01") is None


def test_port_of_thousands_of_digits_is_no_port():
    answer = b"\x05\xff\xffServerName;n1;InstanceName;X;tcp;" + b"1" * 5000 + b";;"
    assert browser_port(answer, "X") is None
