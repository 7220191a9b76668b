"""The OpenVEX document has the form of the specification, and each statement holds for the locked version."""

import json
import re
import urllib.parse

import pytest
from packaging.version import Version

from docs.generators.site import ROOT
from exporter import __version__

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
# The fields of OpenVEX 0.2.0 that a document and a statement may have, and those that they must have.
DOCUMENT = {"@context", "@id", "author", "role", "timestamp", "last_updated", "version", "tooling", "statements"}
REQUIRED = {"@context", "@id", "author", "timestamp", "version", "statements"}
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


def test_document_has_the_fields_of_openvex(document):
    assert set(document) >= REQUIRED
    assert set(document) <= DOCUMENT
    assert document["@context"] == "https://openvex.dev/ns/v0.2.0"
    assert urllib.parse.urlsplit(document["@id"]).scheme == "https"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["timestamp"])
    assert document["version"] == 1
    assert document["statements"]


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


def test_changed_version_changes_the_identity_of_the_document(vex, document):
    again = json.loads(vex.document(__version__, LOCK))
    other = json.loads(vex.document(__version__, re.sub(r"^aiohttp==\S+", "aiohttp==3.99.0", LOCK, flags=re.MULTILINE)))
    assert again == document
    assert other["@id"] != document["@id"]
