"""SECURITY.md names a test for each promise."""

import re

import pytest

TITLE = "\n## The test of each promise\n"
ROW = re.compile(r"^\| (?!promise|---)(.+) \| `(test_\w+)` in `(tests/[\w/]+\.py)` \|$", re.MULTILINE)


@pytest.fixture
def security(root):
    return (root / "SECURITY.md").read_text(encoding="utf-8").split(TITLE)


def test_each_promise_of_the_table_is_made_and_has_its_test(root, security):
    promises, table = security
    rows = ROW.findall(table)
    assert len(rows) == table.count("\n| ") - 2  # the heading and its line
    words = " ".join(promises.split())
    assert [promise for promise, _, _ in rows if promise not in words] == []
    assert [name for _, name, path in rows if f"def {name}(" not in (root / path).read_text(encoding="utf-8")] == []


def test_each_rule_has_a_promise_with_a_test(security):
    promises, table = security
    rules = promises.split("\n## Rules the code keeps\n")[1].split("\n## ")[0].split("\n- ")[1:]
    tested = [promise for promise, _, _ in ROW.findall(table)]
    assert rules
    assert [rule for rule in rules if not any(promise in " ".join(rule.split()) for promise in tested)] == []
