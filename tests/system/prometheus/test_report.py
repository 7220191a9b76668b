"""`ekm-exporter report` against a real Prometheus that promtool filled with a month of made-up series."""

import asyncio
import csv
import io
import json
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from exporter.cli.main import main
from tests.system.prometheus.servers import prometheus_of, running

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

START = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
MINUTES = 31 * 1440
SCRAPE_OFFSET = -5  # seconds: each scrape is five seconds before the minute that it decides
# Minutes of the month, as [first, end).
DOWN = range(20_000, 20_100)  # Prometheus itself has no sample
THROTTLED, REFUSED, SILENT = range(1000, 1030), range(5000, 5200), range(30_000, 30_045)
PLANNED = range(40_000, 40_120)
APPEARS = 10_000  # the target `late` of the exporter `a`
HUNG = range(35_000, 35_060)  # the exporter serves `late`, but probes it no more
HOST_FAULT = range(15_000, 15_060)  # of the exporter `a` alone; `b` probes `both` too


def value(target: str, exporter: str, minute: int) -> tuple[str, str] | None:
    """Step and reason of the failed probe of a minute; None if the probe succeeded."""
    table = {
        ("alone", "a"): (
            (THROTTLED, "get_key", "throttled"),
            (REFUSED, "token", "secret_expired"),
            (PLANNED, "challenge", "connect_timeout"),
        ),
        ("both", "a"): ((HOST_FAULT, "challenge", "network_down"), (SILENT, "unwrap_key", "server_error")),
        ("both", "b"): ((SILENT, "unwrap_key", "server_error"),),
    }
    return next(((step, why) for span, step, why in table.get((target, exporter), ()) if minute in span), None)


def last_probe(target: str, minute: int, at: int) -> int:
    """Time of the last probe that a scrape shows."""
    return at - 10 - (minute - HUNG.start) * 60 if target == "late" and minute in HUNG else at - 10


PROBES = (("alone", "v1", "a", 0), ("both", "v2", "a", 0), ("both", "v2", "b", 0), ("late", "v1", "a", APPEARS))


def scrapes(begin: int) -> Iterator[tuple[int, int]]:
    """Number and time of each scrape, from minute `begin`."""
    for minute in range(begin, MINUTES):
        if minute not in DOWN:
            yield minute, START + minute * 60 + SCRAPE_OFFSET


def lines() -> Iterator[str]:
    """OpenMetrics text, family by family."""
    families = (
        "ekm_probe_success",
        "ekm_last_probe_timestamp_seconds",
        "ekm_probe_interval_seconds",
        "ekm_last_failure_info",
        "ekm_maintenance",
    )
    for family in families:
        yield f"# TYPE {family} gauge"
        for target, vault, exporter, begin in PROBES:
            labels = f'job="ekm",instance="{exporter}",target="{target}",vault="{vault}.vault.azure.net"'
            for minute, at in scrapes(begin):
                failure = value(target, exporter, minute)
                if family == "ekm_last_failure_info":
                    if failure:
                        yield f'{family}{{{labels},step="{failure[0]}",code="1",symbol="S",reason="{failure[1]}"}} 1 {at}'
                    continue
                number = {
                    "ekm_probe_success": int(failure is None),
                    "ekm_last_probe_timestamp_seconds": last_probe(target, minute, at),
                    "ekm_probe_interval_seconds": 60,
                    "ekm_maintenance": int(target == "alone" and minute in PLANNED),
                }[family]
                yield f"{family}{{{labels}}} {number} {at}"
    yield "# TYPE ekm_exporter_build_info gauge"
    for exporter in ("a", "b"):
        yield from (f'ekm_exporter_build_info{{job="ekm",instance="{exporter}",version="0.1.0"}} 1 {at}' for _, at in scrapes(0))
    yield "# EOF"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    place = tmp_path_factory.mktemp("report")
    (place / "month.txt").write_text("\n".join(lines()) + "\n")
    # promtool reads the whole file once per block, so the blocks are long.
    backfill = ("promtool", "tsdb", "create-blocks-from", "--max-block-duration=486h", "openmetrics", "-q")
    async with running(place / "backfill.log", *backfill, place / "month.txt", place / "data") as promtool:
        assert await promtool.wait() == 0, (place / "backfill.log").read_text()
    async with prometheus_of(place, "{}\n", "--storage.tsdb.retention.time=20y") as started:
        yield started.url


async def report(url: str, *arguments: str) -> tuple[int, bytes, str]:
    """Exit code, standard output and standard error of a process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exporter", "report", "--prometheus", url, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, error.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def month(url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, bytes, str]]:
    """The folder with the report of the month, and what the command answered."""
    folder = tmp_path_factory.mktemp("month")
    return folder, await report(url, "--month", "2026-10", "--out", str(folder))


async def report_here(capsys: pytest.CaptureFixture[str], url: str, *arguments: str) -> tuple[int, str, str]:
    """The same in this process: the start of another one takes a second of a processor."""
    code = await asyncio.to_thread(main, ["report", "--prometheus", url, *arguments])
    return code, *capsys.readouterr()


def minutes_of(row: dict[str, Any]) -> dict[str, int]:
    """The numbers of a row that are not 0."""
    return {name: count for part in ("minutes", "fault_minutes") for name, count in row[part].items() if count}


# Prometheus repeats the last sample for five minutes, so a gap is four minutes shorter.
GAP = len(DOWN) - 4


async def test_month_in_prometheus_gives_the_minutes(month: tuple[Path, tuple[int, bytes, str]]) -> None:
    folder, (code, out, error) = month
    assert (code, error) == (1, "")
    assert out.decode().splitlines() == [str(folder / f"ekm-report-2026-10.{suffix}") for suffix in ("csv", "json", "html")]
    data = json.loads((folder / "ekm-report-2026-10.json").read_text())
    found = {row["target"]: minutes_of(row) for row in data["targets"]}
    assert found == {
        "alone": {
            "answered": MINUTES - GAP - 30 - 200 - 120,
            "throttled": 30,
            "refused": 200,
            "maintenance": 120,
            "no_data": GAP,
            "vault": 30,
            "settings": 200,
        },
        "both": {"answered": MINUTES - GAP - 45, "failed": 45, "no_data": GAP, "vault": 45},
        # A result counts for six intervals: the probe is 15 s older than the minute, so six minutes of the hour are answered.
        "late": {"answered": MINUTES - GAP - APPEARS - 54, "not_configured": APPEARS, "no_data": GAP, "no_probe": 54},
    }
    vaults = {row["vault"]: minutes_of(row) for row in data["vaults"]}
    # `late` is in the same vault: from its appearance on, its answers count for the vault.
    assert vaults["v1.vault.azure.net"] == {
        name: count + 120 if name == "answered" else count for name, count in found["alone"].items() if name != "maintenance"
    }
    assert vaults["v2.vault.azure.net"] == found["both"]
    gap = {"from": "2026-10-14T21:24Z", "to": "2026-10-14T23:00Z", "class": "no_data", "minutes": GAP}
    hung = {"from": "2026-10-25T07:26Z", "to": "2026-10-25T08:20Z", "class": "no_probe", "minutes": 54, "targets": ["late"]}
    assert data["gaps"] == [gap | {"targets": ["alone", "late", "both"]}, hung]


async def test_period_without_a_gap_has_exit_code_0(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    span = ("--from", "2026-10-02T00:00:00+02:00", "--to", "2026-10-02T01:00:00+02:00")
    code, out, error = await report_here(capsys, url, *span)
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert (code, error) == (0, "")
    assert [(row["scope"], row["target"], row["answered_minutes"]) for row in rows] == [
        ("vault", "", "60"),
        ("vault", "", "60"),
        ("target", "alone", "60"),
        ("target", "both", "60"),
    ]
