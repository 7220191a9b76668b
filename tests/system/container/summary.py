"""The summary of the image at the end of a run: its size, and what is untested.

The conftest of the tests imports this hook. With several processes, the reporting one reads no conftest of a subfolder.
"""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report for reports in terminalreporter.stats.values() for report in reports if isinstance(report, pytest.TestReport)
    ]
    for report in reports:
        for name, value in report.user_properties:
            if (name, report.when) == ("image", "call"):
                terminalreporter.write_line(f"container: {value}")
    if any(report.nodeid.startswith("tests/system/container/") for report in reports):
        terminalreporter.write_line(
            "container: built on Debian's Python, which stands in for the official image; that image's digest and layout are untested",
        )
