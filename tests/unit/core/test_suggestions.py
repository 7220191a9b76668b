"""Suggestions for misspelt names."""

from exporter.core.names import nearest


def test_a_misspelt_name_suggests_the_nearest():
    assert nearest("intervall", iter(["interval", "timeout"])) == " (did you mean 'interval'?)"
    assert nearest("TIMEOUT", ["interval", "timeout"]) == " (did you mean 'timeout'?)"


def test_a_name_without_likeness_suggests_nothing():
    assert nearest("x" * 10_000, ["interval", "timeout"]) == ""
