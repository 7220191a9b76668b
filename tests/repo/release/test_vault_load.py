"""The requests in docs/sizing.md: the exporter's follow from defaults, SQL Server's from one operation of each database."""

import pytest

from docs.generators.vault_load import DATABASES, load, of_exporter, of_sql_server
from exporter.core.limits import KEY_OPERATIONS, OTHER_OPERATIONS, WINDOW_SECONDS

READ, USE = 1 / OTHER_OPERATIONS, 1 / KEY_OPERATIONS[True, 3072]


def test_probe_of_each_minute_makes_four_requests():
    found = load(key="k")
    assert (found.requests, found.sign_ins) == pytest.approx((4 * 60, 60))
    assert found.share == pytest.approx(WINDOW_SECONDS / 60 * (READ + 3 * USE))


@pytest.mark.parametrize(
    ("row", "requests", "sign_ins"),
    [(1, 2 * 60 + 2 * 12, 60), (2, 4 * 60, 2), (3, 2 * 12, 0), (4, 4 * 12, 12), (5, 3 * 12, 0), (6, 3 * 12, 0)],
)
def test_setting_and_auxiliary_probe_change_the_requests(row, requests, sign_ins):
    _, *cells, _ = of_exporter()[row]
    assert [float(cell) for cell in cells] == [requests, sign_ins]


@pytest.mark.parametrize(("what", "most_uses"), [("a start", 2), ("a new key version", 3)])
def test_operation_at_once_counts_in_one_window(what, most_uses):
    (share,) = [row[3] for row in of_sql_server() if row[0].startswith(what)]
    least, most = (float(each) / 100 for each in share.removesuffix(" %").split(" to "))
    assert (least, most) == pytest.approx((DATABASES * USE, DATABASES * (most_uses * USE + READ)), abs=1e-4)
