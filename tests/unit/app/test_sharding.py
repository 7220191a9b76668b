from collections import Counter
from functools import cache

import pytest

from exporter.app.reload import Shard, parse_shard

NAMES = [f"vault-{number}" for number in range(3000)]


@cache
def owners(count):
    held = [(name, index) for index in range(count) for name in NAMES if Shard(index, count).holds(name)]
    assert len(held) == len(NAMES), "each target is held by exactly one shard"
    return dict(held)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_target_has_one_shard_and_shards_are_even(count):
    assert sorted(owners(count)) == sorted(NAMES)
    sizes = Counter(owners(count).values())
    assert min(sizes.values()) > 0.85 * len(NAMES) / count
    assert max(sizes.values()) < 1.15 * len(NAMES) / count


@pytest.mark.parametrize("count", [1, 2, 4])
def test_new_shard_moves_only_its_share(count):
    before, after = owners(count), owners(count + 1)
    moved = {name for name in NAMES if before[name] != after[name]}
    assert len(moved) == pytest.approx(len(NAMES) / (count + 1), rel=0.12)
    assert {after[name] for name in moved} == {count}


def test_assignment_never_changes():
    assert [owners(5)[f"vault-{number}"] for number in range(12)] == [1, 2, 2, 0, 0, 0, 3, 4, 0, 2, 0, 4]


def test_shard_is_index_and_count():
    assert parse_shard("2/3") == Shard(2, 3)
    assert str(Shard(0, 1)) == "0/1"


def test_port_offsets_of_all_shards_begin_at_shard_0():
    assert [list(Shard(index, 3).offsets) for index in range(3)] == [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "0/0", "1/2/3", "a/b", "0/1001", " 0/1", "0/1\n", "\u0661/\u0663"])
def test_malformed_shard_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match=r"0/3|between 1|counted from 0") as caught:
        parse_shard(text)
    assert repr(text) in str(caught.value)
