"""Problems and warnings as lines: many equal findings share a line, and `check --verbose` prints each."""

import pytest

from exporter.cli.check import finding_lines
from exporter.cli.main import main
from exporter.config.tree import Problem


def missing(number, path="credentials.sql-{:02}.secret_file", message="no such file"):
    return Problem("ekm.yml", number + 3, 50, path.format(number), message)


def test_first_three_of_many_equal_findings_have_lines():
    assert finding_lines([missing(number) for number in range(40)], "warning: ") == [
        "ekm.yml:3:50: warning: credentials.sql-00.secret_file: no such file",
        "ekm.yml:4:50: warning: credentials.sql-01.secret_file: no such file",
        "ekm.yml:5:50: warning: credentials.sql-02.secret_file: no such file",
        "and 37 more: warning: credentials.*.secret_file: no such file (ekm-exporter check --verbose prints each)",
    ]


@pytest.mark.parametrize(("number", "lines"), [(1, 1), (3, 3), (4, 4), (5, 4)])
def test_line_for_the_others_needs_two_of_them(number, lines):
    assert len(finding_lines([missing(one) for one in range(number)])) == lines


def test_other_setting_or_text_is_not_equal():
    findings = [missing(number) for number in range(3)]
    findings += [missing(3, message="not readable"), missing(4, path="credentials.sql-{}.certificate_file"), missing(5, path="")]
    assert finding_lines(findings) == [str(one) for one in findings]


def test_findings_between_equal_ones_keep_their_places():
    other = missing(2, path="global.interval", message="too short")
    lines = finding_lines(
        [missing(0), missing(1), other, *(missing(number, "targets[{}].key") for number in range(5)), missing(9)]
    )
    assert [line.split(": ")[1] for line in lines] == [
        "credentials.sql-00.secret_file", "credentials.sql-01.secret_file", "global.interval",
        "targets[0].key", "targets[1].key", "targets[2].key", "targets[*].key", "credentials.sql-09.secret_file",
    ]  # fmt: skip


def test_verbose_check_prints_each(tmp_path, capsys):
    credentials = "".join(f"  c{number}: {{type: connector_secret, secret_file: gone-{number}}}\n" for number in range(6))
    target = "{name: a, vault: a, key: K/4f1c8e2a9b7d4036a5e1c7f20b9d8346, credential: c0}"
    (tmp_path / "ekm.yml").write_text(f"credentials:\n{credentials}targets: [{target}]\n")
    arguments = ["check", "--config.file", str(tmp_path / "ekm.yml")]
    assert main(arguments) == 2
    assert "and 3 more: credentials.*.secret_file: no such file" in capsys.readouterr().err
    assert main([*arguments, "--verbose"]) == 2
    assert capsys.readouterr().err.count("secret_file: no such file") == 6
