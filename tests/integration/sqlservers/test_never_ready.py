"""Incidents in which a restart leaves a database closed, from T-SQL over TDS to the gate's answer.

tests/unit/sqlserver/gate has what each fact of a reading means for the answer.
"""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.integration.sqlservers.harness import Story, StoryRunner
from tests.integration.sqlservers.stories import Event, day, fault, recovered, restart


def silent_backups(name: str) -> Event:
    return day(f"N1\\{name}", backups=False)


READ = (0, 40, 65, 80, 110, 300, 1440, 2900)  # all of them, as they have one client
STORIES = (
    Story(
        "cycled",  # a 3303 is read once, then the log is another one
        read=READ,
        shown=(40, 65, 110),
        events={
            41: silent_backups("CYCLED"),
            60: fault("sql_errors_logged", "N1\\CYCLED"),
            70: recovered("N1\\CYCLED"),
        },
        credential="tde-half",  # which Entra ID refuses, as it seems to the others
        asked=("n1",),
    ),
    Story(
        "damaged",  # a section arrives without its rows
        read=READ,
        shown=(40, 110),
        events={45: fault("sql_section_damaged", "N1\\DAMAGED", view="encryption")},
        asked=("n1",),
    ),
    Story(
        "altered",  # N1 gets a new secret and proves it; N2 does not
        nodes=("n1", "n2"),
        read=READ,
        shown=(300,),
        events={10: restart("N2\\ALTERED"), 60: fault("sql_credential_altered", "N1\\ALTERED", seconds=0)},
        credential="tde-own",
        asked=("n2",),
    ),
    Story(
        "ended",  # backups stop, and nothing fails
        read=READ,
        shown=(40, 2900),
        events={45: silent_backups("ENDED")},
        asked=("n1",),
    ),
    Story("first", read=READ, shown=(0, 40), asked=("n1",)),
)
# By story and minute: the conditions of the gate.
PLAYED = {
    ("cycled", 40): set(),
    ("cycled", 65): {"backups_fail"},
    ("cycled", 110): {"backups_fail"},
    ("damaged", 40): set(),
    ("damaged", 110): {"inventory_old", "reading_old"},
    ("altered", 300): {"credential_left_behind"},
    ("ended", 40): set(),
    ("ended", 2900): {"proof_old"},
    ("first", 0): {"credential_not_proven"},
    ("first", 40): set(),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observed(tmp_path_factory):
    async with StoryRunner(tmp_path_factory.mktemp("stories"), STORIES) as runner:
        await runner.run()
        yield runner.observed


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("story", "minute"), PLAYED)
async def test_incident_over_tds(observed, story, minute):
    (asked,) = next(each.asked for each in STORIES if each.name == story)
    found = observed[story].answers[minute, asked]
    assert set(found.missing) == PLAYED[story, minute], found.text
