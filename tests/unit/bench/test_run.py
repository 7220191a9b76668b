"""The whole benchmark runs at its smallest size against the real blackbox_exporter."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.document import BEFORE, METHOD
from bench.parts import PARTS
from bench.table import HEADER

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.real


def test_one_command_measures_everything_and_writes_one_page(tmp_path):
    page = tmp_path / "performance.md"
    command = [sys.executable, "-m", "bench", "--size", "tiny", "--out", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)  # noqa: S603 - fixed commands
    assert done.returncode == 0, done.stderr[-3000:]
    text = page.read_text()
    assert text.startswith(BEFORE)
    assert text.endswith(METHOD)
    assert "blackbox_exporter, version" in text
    assert [line.removeprefix("### ") for line in text.splitlines() if line.startswith("### ")] == [
        p.title for p in PARTS.values()
    ]
    assert "## Compared with" not in text
    text = text.partition("## Results")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == list(HEADER)
    assert {len(row) for row in rows} == {len(HEADER)}
    named = " ".join(row[0] for row in rows)
    wanted = ("blackbox_exporter", "bare aiohttp", "generate_latest", "start lag", "growth", "error of a step", "first probe")
    for what in (
        *wanted,
        "longest pause",
        "targets in three causes: size",
        "by time-out",
        "by refusal",
        "by 429",
        "silent name servers",
        "series of a target, level `minimal`",
        "a target in protobuf, gzip",
        "TLS handshake",
        "in one Prometheus",
        "hours of",
        "by exactly one",
        "reported missing",
    ):
        assert what in named
