"""A managed identity needs a SQL Server and a connector that support it."""

from __future__ import annotations

import pytest

from exporter.inventory.plan import HandWritten, make_plan
from exporter.sqlserver.document import Document, RegistryUri
from exporter.sqlserver.instance import Kind, instance_of
from tests.support.sql_inventory import rows_of

URI = RegistryUri("2C56", "https://contoso-prod.vault.azure.net/keys/K/1111")
HANGS, OLD, LINUX = "hangs with a managed identity (KB5043526)", "(message 37576)", "SQL Server on Linux supports no managed"


def plan_of(product="16.0.4175.1", file="15.0.2000.440", catalog="1.0.5.0", **changes):
    rows = rows_of()
    rows["instance"][0].update(product_version=product, **changes)
    rows["credentials"][0].update(name="contoso-prod", identity="Managed Identity")
    rows["keys"][0]["credential"] = "contoso-prod"
    rows["providers"][0]["version"] = catalog
    rows["modules"] = [{"provider": "AzureKV", "file_version": file}] if file else []
    return make_plan([instance_of(Document(sections=rows))], [URI], HandWritten(), {})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"product": "17.0.1000.7"}, []),
        ({"product": "16.0.4165.4"}, [HANGS]),
        ({"product": "16.0.1135.2"}, [HANGS]),
        ({"product": "15.0.4420.2"}, [HANGS]),
        ({"file": "15.0.300.96"}, [OLD]),
        ({"file": "", "catalog": "1.0.4.0"}, [OLD]),
        ({"product": "16.0.4165.4", "file": "13.0.811.168"}, [HANGS, OLD]),
        ({"platform": "linux", "product": "16.0.4105.2"}, [LINUX]),
    ],
)
def test_server_that_does_not_support_it_is_a_gap(options, expected):
    plan = plan_of(**options)
    found = [text for text, kind in plan.findings.kinds.items() if kind is Kind.IDENTITY_UNSUPPORTED]
    assert len(found) == len(expected)
    assert all(any(one in text for text in found) for one in expected)
    assert len(plan.targets) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"file": ""}, "the version of the loaded DLL is unknown"),
        ({"file": "", "catalog": ""}, "the version of the loaded DLL is unknown"),
        ({"product": "?"}, "the version of SQL Server is unknown"),
    ],
)
def test_unknown_version_is_a_gap_of_no_kind(options, expected):
    plan = plan_of(**options)
    assert any(expected in text for text in plan.findings.gaps)
    assert plan.findings.kinds == {}


def test_client_secret_needs_no_version():
    rows = rows_of()
    rows["instance"][0]["product_version"] = "13.0.5026.0"
    assert make_plan([instance_of(Document(sections=rows))], [URI], HandWritten(), {}).findings.gaps == {}
