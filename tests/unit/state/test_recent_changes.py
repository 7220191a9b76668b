"""The last changes over all targets, merged by time and grouped."""

from exporter.state import causes
from exporter.state.record import ChangeKind, ObservedChange, TargetRecords
from tests.support.factories import a_target

NOW = 1767323050.0


def records(**changes):
    """Records by target; each change is (seconds ago, region after it), the oldest first."""
    state = TargetRecords(history_limit=1)
    for name, each in changes.items():
        instances = ({"sql_instance": f"SQL{name}"}, {"sql_instance": "SHARED"})
        record = state.expect(a_target(name, vault=f"{name}.vault.azure.net", instances=instances))
        record.changes = tuple(ObservedChange(NOW - ago, ChangeKind.REGION, "westeurope", after) for ago, after in each)
    return [state.get(name) for name in changes]


async def found(every, most=10):
    recent = await causes.recent_changes([None, *every], most=most)
    return [(each.group.newest.after, list(each.group.targets), each.vaults, each.servers) for each in recent]


async def test_changes_of_all_targets_are_merged_by_time():
    every = records(a=[(5000, "x"), (30, "north")], b=[(20, "south")], c=[(2000, "y"), (10, "north")], quiet=[])
    assert await found(every) == [
        ("north", ["c", "a"], 2, 3),
        ("south", ["b"], 1, 2),
        ("y", ["c"], 1, 2),
        ("x", ["a"], 1, 2),
    ]


async def test_list_ends_after_the_wanted_groups():
    every = records(a=[(5000, "x"), (4000, "y"), (30, "north")], b=[(20, "south")])
    assert await found(every, most=2) == [("south", ["b"], 1, 2), ("north", ["a"], 1, 2)]


async def test_only_the_newest_changes_are_read(monkeypatch):
    monkeypatch.setattr(causes, "MOST_CHANGES", 2)
    assert await found(records(a=[(50, "x"), (30, "y"), (10, "z")])) == [("z", ["a"], 1, 2), ("y", ["a"], 1, 2)]


async def test_reading_leaves_the_records_alone():
    every = records(a=[(30, "north"), (10, "south")])
    assert await found(every) == await found(every)
