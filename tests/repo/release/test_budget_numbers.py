"""One limit of requests everywhere: documents, runbook, dashboards, queries and advice have that of `core.limits`."""

import re
from pathlib import Path

from exporter.core.limits import OTHER_OPERATIONS, WINDOW_SECONDS
from exporter.core.values import OPERATIONS, key_operations_limit, operation_limit
from exporter.sqlserver.script import script_bytes

ROOT = Path(__file__).parents[3]


def words(path):
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def test_query_of_the_callers_has_the_lowest_limits():
    lets = dict(re.findall(r"^let (\w+) = ([0-9]+);", script_bytes("callers.kql").decode(), re.MULTILINE))
    assert lets == {
        "key_limit": f"{key_operations_limit('contoso.vault.azure.net'):.0f}",
        "other_limit": f"{OTHER_OPERATIONS:.0f}",
    }


def test_sizing_has_the_share_of_a_subscription():
    one = sum(
        WINDOW_SECONDS / 60 / operation_limit(each, "contoso.vault.azure.net", hardware=True, size_bits=2048)
        for each in OPERATIONS
    )
    share = one / 5  # the limit of a subscription is that of five vaults
    row = f"| {share:.3%} with RSA 2048 in hardware | 2,000 vaults in one subscription use {2000 * share:.0%} of it, {round(1 / share, -3):,.0f} all of it |"
    assert row.replace("%", " %") in words("docs/sizing.md")
