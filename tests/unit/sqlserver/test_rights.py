"""Which sections a missing right empties."""

from __future__ import annotations

import pytest

from exporter.sqlserver.document import unseen

GROUP = {"name": "x", "in_group": 1}


@pytest.mark.parametrize(
    ("own", "databases", "expected"),
    [
        ({"may_view_definitions": 1}, [GROUP], set()),
        ({"may_view_definitions": 0}, [], {"credentials", "keys", "logins"}),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [{"name": "x", "in_group": 0}], set()),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [GROUP], {"replicas"}),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [GROUP | {"ag": "AG7"}], set()),
        ({"may_view_definitions": 0, "may_view_security_definitions": 1}, [{"name": "x"}], {"replicas"}),
        ({"may_view_databases": 0}, [], {"databases", "encryption"}),
    ],
)
def test_right_leaves_sections_unseen(own, databases, expected):
    assert set(unseen({"instance": [own], "databases": databases})) == expected


def test_hidden_databases_leave_the_proofs_unseen_that_were_read():
    own = {"may_view_databases": 0}
    assert set(unseen({"instance": [own], "opened": [], "flags": []})) == {"databases", "encryption", "opened"}


def test_output_without_an_instance_has_no_rights():
    assert unseen({}) == {}
