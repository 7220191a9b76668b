"""Scripts, quotes and line breaks in every configurable or received text have no effect on pages and responses."""

import json
from html.parser import HTMLParser
from urllib.parse import quote, urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Credential, Module, Proxy, Retained, SecretSource
from exporter.core.values import CredentialKind, VaultHeaders
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.state.record import ChangeKind, ObservedChange
from tests.support.sql_differences import a_difference
from tests.support.sql_readings import a_reading
from tests.support.values import replace
from tests.support.web_factories import STARTED, auxiliary_result, bad, config, good, key, refused_auxiliary, target
from tests.support.web_server import Service, get, serving

MARK = "hostile"
EVIL = f"\"'><script>{MARK}()</script><img src=x onerror={MARK}()>`${{{MARK}}}{{{{{MARK}}}}}&amp;\r\nSet-Cookie: {MARK}=1"
NAME = f"\"'><svg onload={MARK}()>"  # names are in addresses, so this one has no slash


def hostile_config():
    retained = Retained(key_name=EVIL, key_version=EVIL, vault=EVIL, credential=EVIL)
    one = target(
        NAME, vault=EVIL, key_name=EVIL, key_version=EVIL, credential=EVIL, next_credential=EVIL, module=EVIL, recovery_vault=EVIL,
        thumbprint="0x2C56", retained_versions=(retained,), labels={"team": EVIL, "sql_instance": EVIL}, instances=({"sql_instance": EVIL, "ag": EVIL, "host": EVIL},),
    )  # fmt: skip
    credential = Credential(name=EVIL, kind=CredentialKind.CLIENT_SECRET, client_id=EVIL, secret=SecretSource(env=EVIL))
    proxy = Proxy(url=f"http://{EVIL}", username=EVIL, no_proxy=(EVIL,))
    module = Module(name=EVIL, api_version=EVIL, proxy=proxy, authority_host=EVIL, connect_to={EVIL: EVIL})
    made = config(one, modules={EVIL: module, "default": Module(name="default")})
    return replace(made, credentials={EVIL: credential})


@pytest.fixture
def service():
    made = Service(hostile_config())
    facts = dict.fromkeys(("service_code", "inner_code", "request_id", "exception", "detail", "endpoint"), EVIL)
    report = bad(NAME, **facts)
    hostile_key = replace(key(), name=EVIL, version=EVIL, kid=EVIL, kty=EVIL, key_ops=(EVIL,))
    made.add_reports(replace(good(NAME), key=hostile_key), report)
    made.add_auxiliary(
        refused_auxiliary(AuxiliaryKind.NEXT, name=EVIL, **facts),
        auxiliary_result(AuxiliaryKind.RECOVERY, name=EVIL, vault=EVIL),
        auxiliary_result(AuxiliaryKind.NEWEST, key=hostile_key),
        name=NAME,
    )
    record = made.record_of(NAME)
    record.vault = VaultHeaders(region=EVIL, service_version=EVIL, connection=EVIL)
    record.changes += (ObservedChange(STARTED, ChangeKind.ISSUER, EVIL, EVIL, EVIL),)
    made.ends[EVIL] = (CredentialExpiry(credential=EVIL, source=Source.GRAPH, expires_at=STARTED, failure=EVIL),)
    made.readings = [a_reading(EVIL, sql_instance=EVIL, host=EVIL)]
    made.differences = [a_difference(target=NAME, other="", host=EVIL)]
    made.answer = lambda _target: report
    return made


class Obedient(HTMLParser):
    """Collects what a browser would run, load or follow."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.found, self.links = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        if tag in ("iframe", "object", "embed", "base") or (tag == "img" and dict(attributes).get("src") == "x"):
            self.found.append(self.get_starttag_text())
        for name, value in attributes:
            if (
                name.startswith("on")
                or name in ("srcdoc", "style")
                or (value or "").strip().lower().startswith(("javascript:", "data:"))
            ):
                self.found.append(self.get_starttag_text())
            if name == "href":
                self.links.append(value)
        self.inside = tag

    def handle_data(self, data):
        if getattr(self, "inside", "") == "script" and MARK in data:
            self.found.append(data)
        self.inside = ""


async def test_every_page_shows_hostile_names_as_text(service):
    evil = urlencode(dict.fromkeys(("q", "code", "label", "verdict", "sort", "page"), EVIL))
    todo = ["/", f"/targets?q={MARK}", "/targets?page=1", "/changes", f"/targets?{evil}", f"/explain?{evil}"]
    seen, shown = set(), 0
    async with serving(service) as session:
        while todo and len(seen) < 60:
            path = todo.pop()
            seen.add(path)
            status, headers, text = await get(session, path)
            assert status in (200, 302, 400, 404), (status, path)
            assert "Set-Cookie" not in headers
            if not headers["Content-Type"].startswith("text/html"):
                assert headers["X-Content-Type-Options"] == "nosniff"
                continue
            page = Obedient(text)
            shown += MARK in text
            assert page.found == []
            assert f"<script>{MARK}" not in text
            assert EVIL[:10] not in text
            todo += [link for link in page.links if link.startswith("/") and link not in seen and "#" not in link]
    assert shown >= 3


def leaves(value):
    """Every string and number in a JSON value."""
    if isinstance(value, dict):
        return {leaf for each in value.values() for leaf in leaves(each)}
    if isinstance(value, list):
        return {leaf for each in value for leaf in leaves(each)}
    return {value}


async def test_programs_receive_hostile_names_unchanged(service):
    async with serving(service) as session:
        for path in ("/api/v1/targets", "/sd/targets", f"/api/v1/targets/{quote(NAME)}"):
            _, headers, text = await get(session, path)
            assert headers["Content-Type"].startswith("application/json")
            assert {EVIL, NAME} <= leaves(json.loads(text))
        for path in ("/metrics", f"/probe?target={quote(NAME)}"):
            _, _, text = await get(session, path)
            samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
            assert {EVIL, NAME} <= {value for sample in samples for value in sample.labels.values()}
            assert not [line for line in text.splitlines() if line.startswith("Set-Cookie")]
