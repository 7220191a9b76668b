"""A supervisor may start a program without a standard output; that is no failure of the program."""

import sys

from exporter.cli.main import main


def test_a_command_without_standard_output_ends_well(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["explain", "3303"]) == 0
    assert capsys.readouterr().err == ""
