"""docs/doctor.md: its table, its transcript and its number of requests are those of the program."""

import re
from pathlib import Path

import pytest

from docs.generators.doctor import PART
from exporter.doctor.report import as_text
from tests.support.doctor_simulated import ENTRA, VAULT

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"


def test_page_shows_the_current_checks():
    page = PAGE.read_text(encoding="utf-8")
    assert PART.refreshed(page) == page, "run: ./dev docs"


def test_page_without_a_marker_is_an_error():
    with pytest.raises(ValueError, match="needs a line"):
        PART.refreshed("# nothing")


def test_program_rewrites_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{PART.begin}\nold\n{PART.end}\nafter\n")
    PART.main([str(page)])
    assert "| `dns_vault` |" in page.read_text()
    assert page.read_text().endswith(f"{PART.end}\nafter\n")


async def test_transcript_equals_the_report_of_an_expired_secret(harness):
    block = re.search(
        r"```console\n\$ ekm-exporter doctor contoso-key0.*?\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    harness.simulator.apply("secret_expired", vault=VAULT)
    output = as_text(harness.target, list((await harness.results()).values()))
    position = 0
    for piece in block[1].split("...\n"):
        position = output.find(piece, position)
        assert position >= 0, piece
        position += len(piece)
    assert output.endswith(block[1].split("...\n")[-1])


async def test_doctor_sends_the_documented_requests(harness):
    await harness.results()
    requests = harness.simulator.requests
    to_vault = sum(count for (host, _, _), count in requests.items() if host == VAULT)
    assert to_vault == 8 + 3 * len(harness.target.retained_versions)
    assert requests[ENTRA, "token", 200] == 1
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert "eight requests to the vault, three more for each retained version, and one sign-in" in page
