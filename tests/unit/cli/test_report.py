"""The flags of `report` and `audit`: every error is one line with the action."""

import zoneinfo

import pytest

from exporter.cli.main import main

URL = "http://127.0.0.1:1"  # nothing listens there
BASE = ("report", "--prometheus", URL)
MONTH = (*BASE, "--month", "2026-10")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("report", "--month", "2026-10"), "the following arguments are required: --prometheus"),
        ((*MONTH, "--url", URL), f"unrecognized arguments: --url {URL}"),
        (
            (*MONTH, "--format", "text"),
            "argument --format: invalid choice: 'text'",
        ),
        (BASE, "name the period: --month YYYY-MM, or --from and --to"),
        ((*BASE, "--month", "2026-10", "--to", "2026-10-02T00:00:00Z"), "name the period: --month YYYY-MM, or --from and --to"),
        ((*BASE, "--from", "2026-10-02T00:00:00Z"), "name the period: --month YYYY-MM, or --from and --to"),
        ((*BASE, "--from", "2026-10-02T00:00:00Z", "--to", "2026-10-01T00:00:00Z"), "--from is not before --to: swap them"),
        ((*BASE, "--month", "9000-01"), "the period is not over yet: report an earlier month, or write --from and --to"),
        (
            (*MONTH, "--timezone", "Nowhere/City"),
            "--timezone 'Nowhere/City' is not known: write a name as in Europe/Zurich",
        ),
        (
            (*MONTH, "--timezone", "../etc"),
            "--timezone '../etc' is not known: write a name as in Europe/Zurich",
        ),
        ((*MONTH, "--out", "x", "--format", "csv"), "--out writes every format: leave out --format"),
        (
            (*MONTH, "--prometheus.user", "ops"),
            "--prometheus.user and --prometheus.password.file belong together: give both or none",
        ),
        (
            (*MONTH, "--prometheus.user", "o", "--prometheus.password.file", "x", "--prometheus.token.file", "x"),
            "--prometheus.user and --prometheus.token.file exclude each other: give one",
        ),
        (
            (*MONTH, "--prometheus.user", "o:p", "--prometheus.password.file", "x"),
            "--prometheus.user: a user of basic authentication has no colon",
        ),
        (
            ("report", "--prometheus", "http://p.example:9090", "--month", "2026-10", "--prometheus.token.file", "x"),
            "--prometheus: the password or token would be sent without TLS: use an https URL",
        ),
        (("report", "--prometheus", "p:9090"), "argument --prometheus: not an http or https URL: write http://HOST:9090"),
        (
            ("report", "--prometheus", "http://u@p"),
            "argument --prometheus: the URL has a user: use --prometheus.user and --prometheus.password.file",
        ),
        ((*MONTH, "--timeout", "0s"), "argument --timeout: must be longer than 0s"),
        ((*MONTH, "--timeout", "soon"), "argument --timeout: not a duration (write 30s, 5m, 1h30m)"),
        (("audit", "k", "--out", "x", "--format", "json"), "--out writes every format: leave out --format"),
        (("audit",), "the following arguments are required: KEY"),
        (("audit", "k", "--format", "csv"), "argument --format: invalid choice: 'csv'"),
        (MONTH, f"{URL} is unreachable, the connection was refused: check the URL and the network"),
    ],
)
def test_unusable_arguments_are_one_line(arguments, problem, capsys):
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    printed, line = capsys.readouterr()
    assert (code, printed, line.count("\n")) == (2, "", 1)
    assert line.startswith(f"ekm-exporter {arguments[0]}: {problem}")


def test_missing_ca_file_is_one_line(tmp_path, capsys):
    assert main((*MONTH, "--prometheus.ca.file", str(tmp_path / "absent"))) == 2
    error = capsys.readouterr().err
    assert error.startswith("ekm-exporter report: --prometheus.ca.file: ")
    assert error.count("\n") == 1


def test_time_zone_on_a_host_without_names_has_an_action(tmp_path, capsys):
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    try:
        assert main((*MONTH, "--timezone", "Pacific/Nauru")) == 2
    finally:
        zoneinfo.reset_tzpath()
    action = "this Python knows UTC alone: write --from and --to as in 2026-11-01T00:00:00+01:00, or add the package tzdata\n"
    assert capsys.readouterr().err == f"ekm-exporter report: --timezone 'Pacific/Nauru' is not known: {action}"
