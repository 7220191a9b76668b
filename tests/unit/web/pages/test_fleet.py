"""The query of a URL filters and sorts the list of targets."""

import json
import re
from urllib.parse import urlencode

import pytest

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.web import app
from exporter.web.pages.fleet import BY_LABEL, ORDERS
from exporter.web.pages.views import brief_name
from tests.support.web_factories import STARTED, bad, config, good, target
from tests.support.web_server import Service, answer, get, serving, words

NOW = STARTED + 5


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(app.time, "time", lambda: NOW)


def fleet():
    """Return a service with four targets that differ in every filter and order."""
    service = Service(
        config(
            target("alpha", labels={"team": "dba", "env": "prod", "rank": "c"}, instances=()),
            target("beta", vault="zebra.vault.azure.net", labels={"team": "dba", "env": "test", "rank": "b"}, instances=()),
            target(
                "gamma",
                vault="ant.vault.azure.net",
                labels={},
                instances=({"sql_instance": "SQLONLY", "ag": "AG9", "host": "n5"},),
            ),
            target("delta", labels={"team": "web", "rank": "a"}, instances=({"host": "n9"}, {"host": "n1"})),
        )
    )
    firewall = bad("beta", step=Step.GET_KEY, code=3113, reason=Reason.FORBIDDEN_FIREWALL, started_at=STARTED - 60)
    service.add_reports(bad("alpha"), firewall, good("gamma", started_at=STARTED - 20))
    return service


async def shown(*query):
    _, _, html = await answer(fleet(), f"/targets?{urlencode(query)}")
    return re.findall(r'<a href="/targets/([^"?/]+)"', html)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([("verdict", "not_ready")], {"alpha", "beta"}),
        ([("verdict", "ready")], {"gamma"}),
        ([("verdict", "unknown")], {"delta"}),
        ([("code", "3303")], {"alpha"}),
        ([("code", "3113")], {"beta"}),
        ([("code", "3077")], {"beta"}),  # the counterpart code
        ([("code", "errorhttpoperationforbidden")], {"beta"}),
        ([("code", "9999")], set()),
        ([("code", "AADSTS7000222")], {"alpha"}),
        ([("code", "secret_expired")], {"alpha"}),
        ([("code", "secret_wrong")], set()),  # another reason of the same code
        ([("code", "forbidden_firewall")], {"beta"}),
        ([("code", f"{'x' * 300} Provider error code: 3303")], {"alpha"}),
        ([("q", "SQL Server error 33111, provider error code: 3303")], {"alpha"}),
        ([("q", "AADSTS7000222")], {"alpha"}),
        ([("q", "ag9")], {"gamma"}),
        ([("q", "n9")], {"delta"}),
        ([("label", "team=dba")], {"alpha", "beta"}),
        ([("label", "team=dba"), ("label", "env=test")], {"beta"}),
        ([("label", "team")], {"alpha", "beta", "delta"}),
        ([("label", "ag=AG9")], {"gamma"}),
        ([("label", "team=unknown")], set()),
        ([("q", "zebra")], {"beta"}),
        ([("q", "sqlonly")], {"gamma"}),
        ([("q", "contoso alpha")], {"alpha"}),
        ([("q", "alpha"), ("verdict", "ready")], set()),
        ([("verdict", "nonsense"), ("sort", "nonsense"), ("colour", "red")], {"alpha", "beta", "gamma", "delta"}),
    ],
)
async def test_filter_shows_matching_targets(query, expected):
    assert set(await shown(*query)) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("urgency", ["beta", "alpha", "delta", "gamma"]),  # the longest failure first
        ("name", ["alpha", "beta", "delta", "gamma"]),
        ("vault", ["gamma", "alpha", "delta", "beta"]),
        ("code", ["beta", "alpha", "delta", "gamma"]),
        ("last_probe", ["beta", "gamma", "alpha", "delta"]),
        ("duration", ["alpha", "beta", "gamma", "delta"]),
        ("expiry", ["alpha", "beta", "delta", "gamma"]),  # their credential has expired
        ("label:team", ["alpha", "beta", "delta", "gamma"]),
        ("label:env", ["alpha", "beta", "delta", "gamma"]),
        ("label:rank", ["delta", "beta", "alpha", "gamma"]),
        ("label:host", ["delta", "gamma", "alpha", "beta"]),
    ],
)
async def test_every_order_is_applied_and_unknown_comes_last(order, expected):
    assert await shown(("sort", order)) == expected


@pytest.mark.parametrize("sort", ["label:unknown", "label:", "label", "label:dba", "team"])
async def test_unknown_label_is_no_order(sort):
    assert await shown(("sort", sort)) == await shown()
    _, _, html = await answer(fleet(), f"/targets?{urlencode([('sort', sort)])}")
    assert '<option value="urgency" selected>' in html
    assert sort == "team" or f'value="{sort}"' not in html


async def test_form_offers_every_label_and_keeps_the_chosen_one():
    _, _, html = await answer(fleet(), "/targets?sort=label:rank")
    offered = re.findall(r'<option value="label:(\w+)"( selected)?>', html)
    assert offered == [("ag", ""), ("env", ""), ("host", ""), ("rank", " selected"), ("sql_instance", ""), ("team", "")]
    assert 'href="/targets?label=team%3Ddba&amp;sort=label%3Arank"' in html


async def test_openapi_document_has_every_order():
    _, _, text = await answer(fleet(), "/api/v1/openapi.json")
    for path in ("/", "/targets"):
        parameters = json.loads(text)["paths"][path]["get"]["parameters"]
        named, by_label = next(one for one in parameters if one["name"] == "sort")["schema"]["anyOf"]
        assert named["enum"] == list(ORDERS)
        assert re.fullmatch(by_label["pattern"], f"{BY_LABEL}team")


async def test_form_keeps_the_filter_and_counts_its_scope():
    _, _, html = await answer(fleet(), "/targets?verdict=not_ready&code=3303&label=team%3Ddba&sort=vault&q=alp")
    assert '<option value="not_ready" selected>' in html
    assert '<option value="vault" selected>' in html
    assert re.search(r'<input id="code" name="code" value="3303"', html)
    assert re.search(r'<input id="label0" name="label" value="team=dba"', html)
    assert "1 of 4 targets match." in words(html)
    assert "1 not ready 0 failing 0 unknown 0 ready" in words(html)
    assert 'href="/targets?q=alp&amp;code=3303&amp;label=team%3Ddba&amp;verdict=ready"' in html
    assert '<option value="team=web">' in html


async def test_links_to_pages_keep_the_filter():
    names = [f"target-{number:03}" for number in range(250)]
    service = Service(config(*(target(name) for name in names)))
    service.add_reports(*(bad(name) for name in names[:150]))
    _, _, html = await answer(service, "/targets?verdict=not_ready&sort=name&page=2")
    assert "Page 2 of 3" in html
    assert '<a href="/targets?verdict=not_ready&amp;sort=name&amp;page=1">Previous</a>' in html
    assert "target-099" in html
    assert "target-100" not in html


async def test_explain_page_finds_codes_and_messages():
    async with serving(fleet()) as session:
        status, headers, _ = await get(session, "/explain?code=ErrorGetTokenBadCredentials")
        _, _, unknown = await get(session, "/explain?code=12345678")
        _, _, message = await get(session, "/explain?code=Msg%2033111")
        _, _, listed = await get(session, "/explain")
    assert (status, headers["Location"]) == (302, "/explain/3303")
    assert "No such code: &#x27;12345678&#x27;." in words(unknown)
    assert "Cannot find server asymmetric key with thumbprint" in words(message)
    assert len(re.findall(r'<th scope="row"><a href="/explain/\d+">', listed)) == 146


async def test_explain_page_names_both_codes_of_a_paste():
    paste = "Provider error code: 3303. Provider error code: 2058."
    _, _, html = await answer(fleet(), f"/explain?{urlencode({'code': paste})}")
    assert "<h1>3303 " in html
    assert "Also in this text 2058 scp_err_FailureInRegistry" in words(html)


async def test_list_names_what_a_search_stands_for():
    async with serving(fleet()) as session:
        _, _, html = await get(session, f"/targets?{urlencode({'code': 'x' * 300 + ' AADSTS7000222'})}")
        _, _, plain = await get(session, "/targets?q=alpha")
    assert "1 of 4 targets match. Understood as secret_expired ." in words(html)
    assert '<input id="code" name="code" value="secret_expired"' in html
    assert "Understood" not in plain


@pytest.mark.parametrize("text", ["secret_expired", "AADSTS7000222", "Msg%2033111", "403%20unwrapKey"])
async def test_explain_path_takes_what_the_command_takes(text):
    status, _, html = await answer(fleet(), f"/explain/{text}")
    assert status == 200
    assert "What to do, in this order" in html


async def test_codes_page_has_a_summary_of_each_code():
    _, _, html = await answer(fleet(), "/explain")
    first = html.split("<tbody>")[1].split("</tr>")[0]
    assert len(re.findall('data-label="What it means">[A-Z`<]', html)) == 146
    assert first.index("What it means") < first.index("Symbol")
    assert 'data-label="Counterpart code">none' not in html


@pytest.mark.parametrize(
    ("name", "brief"),
    [
        ("contoso-prod.vault.azure.net", "contoso-prod"),
        ("contoso-prod.vault.azure.net/Key0/0123", "contoso-prod/Key0"),
        ("contoso.vault.usgovcloudapi.net/Key0", "contoso/Key0"),
        ("contoso.managedhsm.azure.net", "contoso"),
        ("login.microsoftonline.com:443", "login.microsoftonline.com:443"),
        ("team/sql-prod", "team/sql-prod"),
    ],
)
def test_brief_name_has_no_azure_domain_and_no_version(name, brief):
    assert brief_name(name) == brief
