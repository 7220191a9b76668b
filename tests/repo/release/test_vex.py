"""The OpenVEX document has the form of the specification, and each statement holds for the locked version."""

import json
import re

import pytest
from packaging.version import Version

from docs.generators.site import ROOT
from exporter import __version__

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
STATEMENT = {
    *("@id", "version", "vulnerability", "timestamp", "last_updated", "products", "status", "supplier", "status_notes"),
    *("justification", "impact_statement", "action_statement", "action_statement_timestamp"),
}
STATUSES = {"not_affected", "affected", "fixed", "under_investigation"}


@pytest.fixture
def vex(deploy_module):
    return deploy_module("vex")


@pytest.fixture
def document(vex):
    return json.loads(vex.document(__version__, LOCK))


def test_statement_has_the_fields_of_openvex(document):
    for statement in document["statements"]:
        assert {"vulnerability", "products", "status"} <= set(statement) <= STATEMENT
        assert statement["status"] in STATUSES
        assert ("justification" in statement) == (statement["status"] == "not_affected")
        assert set(statement["vulnerability"]) == {"@id", "name", "description"}
        assert re.fullmatch(r"CVE-20\d\d-\d{4,}", statement["vulnerability"]["name"])
        assert [set(product) for product in statement["products"]] == [{"@id", "subcomponents"}]


def test_statement_names_the_release_and_the_locked_package(document):
    locked = {f"pkg:pypi/{name}@{version}" for name, version in re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE)}
    for statement in document["statements"]:
        (product,) = statement["products"]
        assert product["@id"] == f"pkg:pypi/ekm-exporter@{__version__}"
        assert {one["@id"] for one in product["subcomponents"]} <= locked


def test_locked_version_has_the_fix_of_each_advisory(vex):
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.MULTILINE))
    late = [one for one in vex.ADVISORIES if Version(locked[one.package]) < Version(one.fixed)]
    assert late == []
    names = [one.name for one in vex.ADVISORIES]
    assert len(set(names)) == len(names) >= 1
