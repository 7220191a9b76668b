r"""Names of others in commands: each language's own parser reads the name back, or a word in capitals stands there."""

import shlex

import pytest
import yaml

from exporter.core import quoting


@pytest.mark.parametrize("text", ["contoso-prod", "n1.contoso.com", "K0/v1", "10.0.0.1:8080", "[::1]:8080", "_x"])
def test_names_of_azure_stay_as_they_are(text):
    assert quoting.plain(text, "NAME") == text


@pytest.mark.parametrize(
    "text", ["", "a b", "a;b", "-x", "a//b", "a&b", 'a"b', "a'b", "a\nb", "$(x)", "a|b", "ä", "@x", "%x%", "a/"]
)
def test_no_other_name_is_in_a_command_of_azure(text):
    assert quoting.plain(text, "NAME") == "NAME"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/etc/ekm.yml", "/etc/ekm.yml"),
        ("C:\\ekm\\ekm.yml", "C:\\ekm\\ekm.yml"),
        ("\\\\n1\\share\\ekm.yml", "\\\\n1\\share\\ekm.yml"),
        ("C:\\Program Files\\ekm.yml", '"C:\\Program Files\\ekm.yml"'),
        ("conf\\ekm.yml", '"conf\\ekm.yml"'),
        ("a;b & c", '"a;b & c"'),
        ("it's", '"it\'s"'),
        ("größe", '"größe"'),
    ],
)
def test_path_is_one_word(text, shown):
    assert quoting.word(text, "FILE") == shown
    if "\\" not in shown.strip('"'):
        assert shlex.split(shown) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "", "-x", 'a"b', "a$b", "a`b", "a%b", "a!b", "a\\", "a\\\\b", "a\nb", "a\u2028b", "a\u202eb", "a\u201cb", "a\u201eb",
        "\ud800",
    ],
)  # fmt: skip
def test_path_that_a_shell_may_read_otherwise_is_a_capital_word(text):
    assert quoting.word(text, "FILE") == "FILE"


def test_words_of_one_shell():
    assert shlex.split(quoting.sh("it's $(x)")) == ["it's $(x)"]
    assert quoting.powershell("a'b\u2018c\u2019d\u201ae\u201bf") == "'a''b\u2018\u2018c\u2019\u2019d\u201a\u201ae\u201b\u201bf'"


@pytest.mark.parametrize(
    ("name", "shown"), [("a", "[a]"), ("a]b", "[a]]b]"), ("a'b; --", "[a'b; --]"), ("ä ö", "[ä ö]"), ("$", "[$]")]
)
def test_name_in_t_sql(name, shown):
    assert quoting.sql_name(name, "DATABASE") == shown


@pytest.mark.parametrize("name", ["", "a\r\n:!! calc", "a\u2029b", "$(EKM_SECRET)", "a`b", "a" * 129, "a\x85b"])
def test_name_that_sqlcmd_or_a_page_may_read_otherwise_is_a_capital_word(name):
    assert quoting.sql_name(name, "DATABASE") == "[DATABASE]"


def test_text_of_t_sql():
    assert quoting.sql_text("it's") == "N'it''s'"


@pytest.mark.parametrize(
    "text",
    ["yes", "n", "1e5", "0x2C56", "a b", "a: b", "#x", "ü", "", "null", "a\\b", '"', "2026-01-01", "-", "~", "a`b", "a\u2028b", "a:", "https://a"],
)  # fmt: skip
def test_yaml_is_read_as_the_same_text(text):
    shown = quoting.yaml(text)
    assert yaml.safe_load(f"[{{k: {shown}, {shown}: 1}}]") == [{"k": text, text: 1}]
    assert "`" not in shown


def test_name_begins_no_code_span():
    assert quoting.prose("a`b") == "a'b"
