"""docs/doctor.md: its table, its transcript and its number of requests are those of the program."""

import re
from pathlib import Path

from exporter.doctor.run import as_text
from tests.support.doctor_simulated import ENTRA, VAULT

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"


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
