"""Which changes of several targets are one, and where the list ends."""

from exporter.knowledge.causes import TOGETHER_SECONDS, ChangeGroups

NOW = 1767323050.0


def grouped(*changes, most=10):
    """The groups of (seconds ago, kind, target), and the answers of `add`."""
    groups = ChangeGroups(most)
    answers = [groups.add(kind, NOW - ago, target, (kind, ago)) for ago, kind, target in sorted(changes)]
    return [(group.newest[0], list(group.targets), NOW - group.oldest) for group in groups.groups], answers


def test_forty_targets_with_one_kind_of_change_are_one_group():
    changes = [(10.0 + number, "firewall", f"vault{number:02}") for number in range(40)]
    assert grouped(*changes) == ([("firewall", [target for _, _, target in changes], 49.0)], [True] * 40)


def test_changes_of_other_kinds_are_groups_of_their_own():
    found, _ = grouped((1.0, "firewall", "a"), (2.0, "secret", "b"), (3.0, "firewall", "c"))
    assert found == [("firewall", ["a", "c"], 3.0), ("secret", ["b"], 2.0)]


def test_changes_far_apart_are_two_groups():
    found, _ = grouped((0.0, "firewall", "a"), (TOGETHER_SECONDS, "firewall", "b"), (2 * TOGETHER_SECONDS + 1, "firewall", "c"))
    assert found == [("firewall", ["a", "b"], TOGETHER_SECONDS), ("firewall", ["c"], 2 * TOGETHER_SECONDS + 1)]


def test_target_that_changes_twice_counts_once_with_its_newest_change():
    groups = ChangeGroups(10)
    for ago in (1.0, 2.0):
        groups.add("firewall", NOW - ago, "a", ago)
    assert groups.groups[0].targets == {"a": 1.0}


def test_full_list_only_completes_its_groups():
    found, answers = grouped(
        (1.0, "firewall", "a"), (2.0, "secret", "b"), (3.0, "firewall", "c"), (TOGETHER_SECONDS + 4, "secret", "d"), most=1
    )
    assert found == [("firewall", ["a", "c"], 3.0)]
    assert answers == [True, True, True, False]


def test_full_list_opens_no_second_group_of_a_kind():
    found, answers = grouped((1.0, "firewall", "a"), (TOGETHER_SECONDS + 2, "firewall", "b"), most=1)
    assert (found, answers) == ([("firewall", ["a"], 1.0)], [True, False])
