"""Commands without a standard output, as a supervisor may start them."""

import sys

from exporter.cli.main import main


def test_command_without_standard_output_succeeds(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["explain", "3303"]) == 0
    assert capsys.readouterr().err == ""
