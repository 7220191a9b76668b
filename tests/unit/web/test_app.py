"""Pages: their texts, escaping, and readability with a large fleet."""

import asyncio
import json
import re
from datetime import UTC, datetime
from functools import partial
from html import unescape

import pytest

from exporter.core.durations import moment
from exporter.core.limits import FirstProbes
from exporter.core.values import Outcome, Readiness, Step
from exporter.knowledge.code_row import WITHOUT_THE_KEY
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.state.record import ChangeKind, FailureSummary, ObservedChange
from exporter.web import app
from tests.support.factories import DISCARDED
from tests.support.values import replace
from tests.support.web_factories import auxiliary_result, bad, config, good, target
from tests.support.web_fleets import refusing_vaults, three_causes
from tests.support.web_server import Service, answer, get, serving, until, words

NOW = 1767323050.0


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch):
    monkeypatch.setattr(app.time, "time", lambda: NOW)


DELAYED = FirstProbes(targets=5, missing=4, delayed=1, pace=0.5)


def fleet():
    names = ("healthy", "refused", "wrapless", "silent", "stale")
    service = Service(config(*(target(name) for name in names)))
    wrapless = bad("wrapless", step=Step.WRAP_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, ready=True)
    service.add_reports(good("healthy"), bad("refused"), wrapless, good("stale", started_at=NOW - 181))
    return service


async def test_status_page_shows_servers_at_risk_cause_and_action():
    status, headers, html = await answer(fleet(), "/")
    shown = words(html)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "1 not ready 1 failing 2 unknown 1 ready" in shown
    assert shown.count("seen from a central host") == 1
    assert "no role of the application allows the operation 3077 (3113) in step wrap_key" in shown
    assert "no probe has finished yet with the current configuration" in shown
    assert "the last probe is older than three intervals" in shown
    assert "the client secret has expired 3303 in step token" in shown
    assert 'title="3303 ErrorGetTokenBadCredentials"' in html
    assert "First:" in shown
    assert "4 s ago" in shown
    assert "SQLPRD01 ag AG7 SQLPRD02" in shown
    assert "Not tested from here:" in shown


async def test_row_starts_with_sql_server_and_names_target_state_and_since():
    service = Service()
    for minutes in (40, 37, 36, 1):
        service.add_reports((good if minutes == 40 else bad)(started_at=NOW - 60 * minutes))
    _, _, html = await answer(service, "/")
    row = html.split("<tbody>")[1].split("</tr>")[0]
    assert (
        re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", row))
        .strip()
        .startswith("SQLPRD01 ag AG7 SQLPRD02 not ready 37 min ago the client secret has expired 3303 in step token")
    )
    since = moment(NOW - 37 * 60)
    assert f'<time datetime="{since}" title="{since}">37 min ago</time>' in row
    assert (
        '<span title="contoso-prod.vault.azure.net">contoso-prod</span> <a href="/targets?label=team%3Ddba">team=dba</a>' in row
    )
    assert 'aria-label="last 4 probes: 3 not ready, 1 ready"' in row


async def test_row_shows_the_earliest_expiry_of_credential_and_key():
    service = Service()
    service.add_reports(good())
    async with serving(service) as session:
        by_key = (await get(session, "/"))[2]
        service.ends["sql-prod"] = (
            CredentialExpiry(credential="sql-prod", source=Source.DECLARED, expires_at=NOW - 86400),
            CredentialExpiry(credential="sql-prod", source=Source.GRAPH, expires_at=NOW + 8.5 * 86400, looked_up_at=NOW),
        )
        by_secret = (await get(session, "/"))[2]
        service.ends["sql-prod"] = service.ends["sql-prod"][:1]
        expired = (await get(session, "/"))[2]
    assert "in 378 d key version" in words(by_key)
    assert "in 8 d credential" in words(by_secret)
    assert "1 d ago credential expired" in words(expired)


async def test_refusal_by_entra_wins_over_a_later_date():
    service = Service(config(target(), target("other", vault="other.vault.azure.net")))
    service.ends["sql-prod"] = (CredentialExpiry(credential="sql-prod", source=Source.DECLARED, expires_at=NOW + 80 * 86400),)
    service.add_reports(good("other", started_at=NOW - 90), bad(started_at=NOW - 60))
    async with serving(service) as session:
        page, detail, rows, feed = [
            (await get(session, path))[2] for path in ("/", "/targets/contoso-key0", "/api/v1/targets", "/calendar.ics")
        ]
        service.add_reports(good(started_at=NOW))
        accepted = (await get(session, "/"))[2]
    day = moment(NOW + 80 * 86400)[:10]
    wrong = f"the declared date {day} is wrong"
    assert words(page).count(f"1 min ago credential expired, refused by Entra ID {wrong}") == 2
    assert f"sql-prod refused for 1 min credential, refused by Entra ID as expired: {wrong}" in words(page)
    assert "in 80 d" not in page
    assert f"declared {day}" in words(detail)
    assert "wrong: Entra ID refuses the credential as expired" in words(detail)
    listed = json.loads(rows)["expiring"][0]
    assert (listed["source"], listed["wrong"], listed["days_left"]) == ("entra", wrong, 0.0)
    assert json.loads(rows)["targets"][1]["credential_expires_at"] == moment(NOW - 60)
    assert wrong in feed.replace("\r\n ", "")
    assert "in 80 d" in accepted
    assert wrong not in accepted


async def test_a_passed_date_that_entra_contradicts_is_wrong():
    service = Service()
    service.ends["sql-prod"] = (CredentialExpiry(credential="sql-prod", source=Source.DECLARED, expires_at=NOW - 9 * 86400),)
    service.add_reports(replace(good(started_at=NOW - 5), key=None))
    page, detail = [words((await answer(service, path))[2]) for path in ("/", "/targets/contoso-key0")]
    assert f"unknown the declared date {moment(NOW - 9 * 86400)[:10]} is wrong" in page
    assert "Expiring soon" not in page
    assert "wrong: Entra ID accepted the credential after that date" in detail


async def test_age_of_a_backup_is_no_expiry():
    made = datetime.fromtimestamp(NOW - 307 * 86400, UTC).date()
    service = Service(config(target(backup_on=made)))
    service.add_reports(good(started_at=NOW - 5))
    page = (await answer(service, "/"))[2]
    item = page.split('class="expiring"')[1].split("</li>")[0]
    assert "contoso-prod/ContosoRSAKey0 307 d old backup of the key" in re.sub(r"(\s*<[^>]+>\s*)+", " ", item)
    assert "expired" not in item
    assert "bad-ink" not in item
    assert "Next expiry:" not in page


@pytest.mark.parametrize(
    ("servers", "reports", "expected"),
    [
        (True, (good,), "2 of 2 SQL Servers: vault side ready"),
        (True, (bad,), "2 of 2 SQL Servers: vault side not ready"),
        (True, (), "Nothing known yet of 2 SQL Servers"),
        (True, (bad, good, bad, bad, good), "2 of 2 SQL Servers: vault side ready, 2 unsteady"),
        (False, (bad, good, bad, bad, good), "1 of 1 targets ready, 1 unsteady"),
        (False, (), "Nothing known yet of 1 target"),
        (False, (good,), "1 of 1 targets ready"),
        (False, (bad,), "1 of 1 targets not ready"),
    ],
)
async def test_headline_counts_sql_servers_else_targets(servers, reports, expected):
    service = Service(config(target() if servers else target(instances=())))
    for make in reports:
        service.add_reports(make())
    _, _, html = await answer(service, "/")
    assert re.search(r"<h1[^>]*>(.*)</h1>", html)[1] == expected
    assert html.count("<h1") == 1


async def test_instances_of_one_name_on_three_hosts_are_three():
    hosts = [target(f"t-{n}", vault=f"{n}.vault.azure.net", instances=({"sql_instance": "PROD", "host": n},)) for n in "abc"]
    service = Service(config(*hosts, target("same", instances=({"sql_instance": "prod", "host": "A"},))))
    service.add_reports(bad("t-a"), good("t-b"), good("same"))
    _, _, html = await answer(service, "/")
    shown = words(html)
    assert shown.startswith(" 1 of 3 SQL Servers: vault side not ready, 1 unknown ")
    assert "1 SQL Server : PROD on a. Target t-a" in shown


async def test_an_unsteady_target_is_named_everywhere():
    service = Service()
    throttled = {"step": Step.GET_KEY, "code": 3011, "reason": Reason.THROTTLED, "status": 429}
    service.add_reports(*[each(started_at=NOW - 9) for _ in range(14) for each in (good, partial(bad, **throttled))])
    service.add_reports(*[good(started_at=NOW - 9)] * 12)
    shares = "unsteady: 3011 in 14 of the last 40 probes"
    async with serving(service) as session:
        shown = {
            path: words((await get(session, path))[2]) for path in ("/", "/targets?verdict=unsteady", "/targets/contoso-key0")
        }
        others = words((await get(session, "/targets?verdict=not_ready"))[2])
        rows = [json.loads((await get(session, f"/api/v1/targets{path}"))[2]) for path in ("", "/contoso-key0")]
    assert (
        "unsteady Vault contoso-prod: the service receives more requests than it allows 3011 in 14 of the last 40 probes, within 40m "
        "3011 (3109) Who acts: the vault team (Azure Key Vault) 2 SQL Servers" in shown["/"]
    )
    assert "0 unknown 1 ready 1 unsteady 1 cause" in shown["/"]
    assert (
        f"ready {shares} 9 s ago the service receives more requests than it allows 3011 (3109) in step get_key, but the last"
        in shown["/targets?verdict=unsteady"]
    )
    assert "ready vault side ready, seen from a central host" in shown["/targets/contoso-key0"]
    assert shares in shown["/targets/contoso-key0"]
    assert "0 of 1 targets match." in others
    assert all("nothing failed" not in page.split("What the states mean")[0] for page in shown.values())
    assert [row["unsteady"] for row in (rows[0]["targets"][0], rows[1])] == [{"failed": 14, "of": 40, "code": 3011}] * 2
    assert rows[1]["vault_side_ready"] is True


def vaults_of_a_credential(count, **more):
    return [target(f"t-{n}", vault=f"contoso-{n}.vault.azure.net", **more) for n in range(count)]


async def card_of(service, **refused):
    """The card of the only cause, while every target fails."""
    service.add_reports(*(bad(name, **refused) for name in service.config.targets))
    _, _, html = await answer(service, "/")
    return html.split('class="causes"')[1].split("</ol>")[0]


async def test_card_of_a_credential_has_the_command_of_each_vault():
    service = Service(config(*vaults_of_a_credential(12)))
    card = await card_of(service, step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_POLICY, status=403)
    lines = card.split("<pre")[1].split("</pre>")[0].split("<code>")[1].splitlines()
    assert [re.search(r"--name (\S+)", line)[1] for line in lines] == [f"contoso-{n}" for n in range(10)]
    assert "One line for each vault. The pages of the targets have those of 2 more vaults." in card


async def test_card_of_an_expired_secret_says_where_the_new_one_is_written():
    """SQL Server reads its secret from its own credential, on every node of a group."""
    card = await card_of(Service(config(*vaults_of_a_credential(3))))
    shown = unescape(words(f"<main >{card}</main>"))
    create = "First: Create a new secret and keep the old one: az ad app credential reset --id CLIENT_ID --append . "
    write = "Then on every replica, write the secret with sqlcmd , as the first lines of this script show: ekm-exporter script alter-credential.sql ."
    assert create + write in re.sub("--id \\S+", "--id CLIENT_ID", shown)
    removed = unescape(words(f"<main >{await card_of(Service(config(target())), reason=Reason.SECRET_WRONG)}</main>"))
    assert "Then on every replica" not in removed


async def test_card_of_a_credential_repeats_a_role_for_each_vault():
    service = Service(config(*vaults_of_a_credential(3)))
    card = await card_of(service, step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403)
    shown = unescape(words(f"<main >{card}</main>"))
    look_up = "$(az keyvault show --name contoso-{} --query id --output tsv)"
    undo = f'activity-log list --resource-id "{look_up.format(0)}" --offset 6h . If it was intended, or if there is none, take the other steps. Assign the role'
    assert f"First: Undo the change that the activity log shows: az monitor {undo}" in shown
    assert all(f'--scope "{look_up.format(number)}/keys/ContosoRSAKey0"' in shown for number in range(3))


async def test_card_of_a_credential_has_no_identity_of_one_vault():
    vaults = vaults_of_a_credential(3, next_credential="sql-next")
    made = config(*vaults)
    service = Service(replace(made, credentials=dict.fromkeys(("sql-prod", "sql-next"), made.credentials["sql-prod"])))
    for each in vaults:
        proven = auxiliary_result(AuxiliaryKind.NEXT, credential="sql-next", name="sql-next", vault=each.vault)
        service.add_auxiliary(proven, name=each.name)
    card = await card_of(service)
    assert "IDENTITY = " not in card
    assert "<code>ekm-exporter script alter-credential.sql</code>" in card


async def test_a_refused_managed_identity_is_shown_by_its_object_id():
    oid = "0a1b2c3d-1111-2222-3333-444455556666"
    service = Service()
    service.add_reports(
        bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403, object_id=oid, client_address="20.9.8.7")
    )
    async with serving(service) as session:
        pages = [(await get(session, path))[2] for path in ("/", "/targets/contoso-key0")]
        detail = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])
        metrics = (await get(session, "/metrics"))[2]
    assert all(f"--assignee-object-id {oid} --assignee-principal-type ServicePrincipal" in page for page in pages)
    assert f"client address 20.9.8.7 object id {oid}" in words(pages[1])
    step = detail["history"][0]["steps"][2]
    assert (step["client_address"], step["object_id"]) == ("20.9.8.7", oid)
    assert not re.search(f"{oid}|20\\.9\\.8\\.7", metrics)


async def test_action_has_a_copy_button_and_states_have_a_legend():
    service = Service(config(target(instances=tuple({"sql_instance": f"SQL{n}", "ag": "AG1"} for n in range(9)))))
    service.add_reports(bad(step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_POLICY))
    _, _, html = await answer(service, "/")
    action = html.split("data-copy>")[1].split("</div>")[0]
    assert "az keyvault show --name contoso-prod" in action
    assert '<button type="button" class="copy">Copy</button>' in action
    assert "SQL2 ag AG1 and 6 more" in words(html)
    assert (
        "not ready a step failed that SQL Server needs to open databases, to start virtual log files (VLF) and to make backups"
        in words(html)
    )


async def test_not_ready_names_the_step_that_keeps_databases_closed():
    disabled = {"outcome": Outcome.FAILED, "code": 3077, "reason": Reason.KEY_DISABLED}
    report = good()
    steps = tuple(replace(each, **disabled) if each.step in (Step.WRAP_KEY, Step.UNWRAP_KEY) else each for each in report.steps)
    service = Service()
    service.add_reports(replace(report, steps=steps, readiness=Readiness(ready=False, why="not_ready")))
    _, _, html = await answer(service, "/")
    assert "the key version is disabled 3077 (3113) in step unwrap_key" in words(html)


async def test_targets_at_risk_are_first():
    _, _, html = await answer(fleet(), "/")
    listed = re.findall(r'href="/targets/([^"?]+)"', html.split("<tbody>")[1])
    assert listed == ["refused", "wrapless", "silent", "stale", "healthy"]


async def test_every_link_on_every_page_exists():
    service = fleet()
    identity = service.add_reports(bad("refused"))
    async with serving(service) as session:
        todo, done = ["/"], {}
        while todo:
            path = todo.pop()
            status, headers, text = await get(session, path)
            done[path] = status
            if headers["Content-Type"].startswith("text/html"):
                links = set(re.findall(r'href="([^"#]+)"', text.replace("&amp;", "&")))
                todo += [
                    link for link in links if link not in done and not link.startswith("/docs/")
                ]  # test_documentation follows those
    assert set(done.values()) == {200}
    assert {"/metrics", "/config", "/sd/targets", "/explain/3303", f"/targets/refused/probes/{identity}"} <= set(done)


@pytest.mark.parametrize(
    ("state", "path", "text"),
    [
        ({"ready": False}, "/", "The first round of probes has not finished yet."),
        ({"first": DELAYED}, "/", "4 of 5 targets have no result yet: this host is too busy to probe them in time."),
        ({"keeps_state": False}, "/", "The state directory cannot be written: a restart loses what is new."),
        ({}, "/targets/silent", "No probe has finished yet."),
        ({}, "/changes", "Nothing has changed since the first probes."),
    ],
)
async def test_page_names_what_is_missing(state, path, text):
    service = fleet()
    whole = await answer(service, path)
    for name, value in state.items():
        setattr(service, name, value)
    status, _, html = await answer(service, path)
    assert (status, text in words(html), text in whole[2]) == (200, True, not state)


def discarded(name, at):
    return replace(bad(name, started_at=at), readiness=DISCARDED)


async def test_a_target_that_is_not_measured_is_neither_good_nor_bad():
    service = Service(config(*(target(name) for name in ("healthy", "refused"))))
    service.add_reports(good("healthy", started_at=NOW - 130), bad("refused", started_at=NOW - 130))
    service.add_reports(*(discarded(name, NOW - 70) for name in ("healthy", "refused")))
    service.state.unmeasured(NOW)
    _, _, html = await answer(service, "/")
    shown = words(html)
    assert "0 not ready 0 failing 2 unknown 0 ready" in shown
    assert "2 of 2 targets are not measured: this host is too slow (up to 90 % of the time lost)." in shown
    assert "Nothing is known about them until the exporter's operator gives this host more processor time." in unescape(shown)
    assert shown.count("not measured: this host is too slow (90 % of the time lost)") == 2
    assert "The first round" not in shown
    for name in ("healthy", "refused"):
        _, _, html = await answer(service, f"/targets/{name}")
        assert "vault side unknown, seen from a central host: not measured: this host is too slow (90 % of the time lost)" in html
        assert "Not measured: this host is too slow (90 % of the time lost)." in words(html)
        assert "discarded" in words(html)
        body = json.loads((await answer(service, f"/api/v1/targets/{name}"))[2])
        assert (body["vault_side_ready"], body["success"], body["why"]) == (None, None, "not_measured")
        assert body["history"][0] | {"success": None, "vault_side_ready": None, "tainted": True} == body["history"][0]


async def test_a_target_shows_steps_key_labels_and_history():
    service = Service()
    first = service.add_reports(good(started_at=NOW - 7200))
    last = service.add_reports(bad(started_at=NOW - 60), bad())
    status, _, html = await answer(service, "/targets/contoso-key0")
    shown = words(html)
    assert status == 200
    for expected in (
        "Who can repair it:",
        "token failed 200.0 ms dns 1.0 ms, wait 10.0 ms",
        "Step token: The client secret has expired.",
        "Entra error AADSTS7000222",
        "last success 2 h ago",
        "failures in a row 2",
        "label team dba",
        "SQL Servers that depend on it: SQLPRD01 (ag AG7), SQLPRD02",
        "RSA, 2048 bits",
        "expires 2027-01-15T08:00:00.000Z",
        "2026-01-02 03:04:05 UTC failed",
    ):
        assert expected in shown
    assert html.index(f"/probes/{last}") < html.index(f"/probes/{first}")


async def test_stored_failures_before_a_restart_are_shown():
    service = Service()
    service.add_reports(bad(started_at=NOW - 60))
    kept = FailureSummary(
        at=NOW - 86400, step="unwrap_key", code=3077, reason="forbidden_rbac", http_status=403, request_id="r-0"
    )
    record = service.record_of("contoso-key0")
    record.last_failures = (kept, *record.last_failures)
    async with serving(service) as session:
        _, _, html = await get(session, "/targets/contoso-key0")
        payload = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])["earlier_failures"]
    assert "2026-01-01 03:04:10 UTC 3077 (3113 on connector 1.0.5.0)" in words(html).split("Failures before the last restart")[1]
    assert [(each["started_at"], each["code"], each["request_id"]) for each in payload] == [
        ("2026-01-01T03:04:10.000Z", 3077, "r-0")
    ]


async def test_probe_page_shows_the_whole_probe():
    service = Service()
    identity = service.add_reports(bad(detail="keys for app <id> are expired"))
    status, _, html = await answer(service, f"/targets/contoso-key0/probes/{identity}")
    assert status == 200
    assert "keys for app &lt;id&gt; are expired" in html
    assert "wrap_key        skipped" in html
    assert words(html).count(WITHOUT_THE_KEY) == 1


@pytest.mark.parametrize(
    "path",
    ["/targets/unknown", "/targets/unknown/probes/1", "/targets/contoso-key0/probes/1", "/explain/9999", "/explain/%3Cb%3E"],
)
async def test_unknown_object_is_one_line(path):
    status, headers, text = await answer(Service(), path)
    assert status == 404
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text.count("\n") == 1


async def test_pages_have_no_external_file_and_no_inline_script():
    async with serving(fleet()) as session:
        _, _, html = await get(session, "/")
        script = re.search(r'<script src="([^"]+)" defer></script>', html).group(1)
        assert (await get(session, script))[1]["Content-Type"] == "text/javascript; charset=utf-8"
        style = re.search(r'<link rel="stylesheet" href="([^"]+)">', html).group(1)
        status, headers, css = await get(session, style)
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert not re.search(r"<style|style=|\son\w+=|<script>", html)
    assert (status, headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert "http" not in css
    assert "prefers-color-scheme: dark" in css


async def test_many_targets_are_paged():
    names = [f"target-{number:04}" for number in range(1020)]
    service = Service(config(*(target(name) for name in names)))
    service.add_reports(*(bad(name) for name in names))
    async with serving(service) as session:
        _, _, first = await get(session, "/targets")
        _, _, last = await get(session, "/targets?page=21")
        _, _, beyond = await get(session, "/targets?page=999999")
        _, _, nonsense = await get(session, "/targets?page=x")
    assert "Page 1 of 21" in first
    assert "target-0049" in first
    assert "target-0050" not in first
    assert "target-1019" in last
    assert beyond == last
    assert re.sub("[?]page=x", "", nonsense) == first
    assert "1,020 not ready" in words(first)


async def test_unknown_verdict_shows_its_cause():
    service = Service(config(target(key_version=None)))
    service.add_reports(replace(good(), readiness=Readiness(ready=None, why="version_not_pinned")))
    _, _, html = await answer(service, "/")
    assert "the configuration names no key version; write key: NAME/VERSION to get a verdict" in html


async def test_the_configuration_is_shown_without_secrets():
    status, headers, text = await answer(Service(), "/config")
    assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert "client_secret_env: SQL_PROD" in text
    assert "name: contoso-key0" in text


async def test_links_use_the_external_url_and_routes_the_prefix():
    async with serving(fleet(), external_url="https://prom.example/outside/", route_prefix="/inside") as session:
        for path in ("/", "/inside"):
            status, headers, _ = await get(session, path)
            assert (status, headers["Location"]) == (302, "/outside/")
        status, _, html = await get(session, "/inside/")
        gone, _, _ = await get(session, "/metrics")
        there, _, _ = await get(session, "/inside/metrics")
    assert (status, gone, there) == (200, 404, 200)
    assert all(link.startswith("/outside/") for link in re.findall(r'(?:href|src|action)="([^"#]+)"', html))


async def test_thousands_of_refusing_vaults_are_a_small_page():
    service = refusing_vaults(5000, NOW)
    async with serving(service) as session:
        html = (await get(session, "/"))[2]
        every = (await get(session, "/?causes=all"))[2]
    assert "<strong>3 causes</strong>" in html
    assert "The commands cover 100 of 1,668." in html
    assert max(len(html.encode()), len(every.encode())) < 150_000


async def test_readers_of_one_page_at_once_share_its_making(monkeypatch):
    """Each making of a page of 5,000 targets takes seconds on a busy host."""
    go, joined, made = asyncio.Event(), [], []
    make, join = app.fleet, app.SingleFlight.join

    async def counted(views, query, *more):
        made.append(query.words)
        await go.wait()
        return await make(views, query, *more)

    async def noted(flights, key, work, *, name):
        joined.append(key)
        return await join(flights, key, work, name=name)

    monkeypatch.setattr(app, "fleet", counted)
    monkeypatch.setattr(app.SingleFlight, "join", noted)
    service = fleet()
    async with serving(service) as session:
        async with asyncio.TaskGroup() as readers:
            same = [readers.create_task(get(session, "/")) for _ in range(5)]
            other = readers.create_task(get(session, "/?q=healthy"))
            escaped = [readers.create_task(get(session, f"/?q={each}")) for each in ("%2526", "%26")]
            await until(lambda: len(joined) == 8)
            service.config = replace(service.config)  # a reload
            reloaded = readers.create_task(get(session, "/"))
            await until(lambda: len(joined) == 9)
            go.set()
        later = await get(session, "/")
    assert sorted(made) == ["", "", "", "%26", "&", "healthy"]
    assert [each.result()[0] for each in (*escaped, reloaded)] == [200, 200, 200]
    assert len({each.result()[2] for each in same}) == 1
    assert same[0].result()[::2] == (200, later[2])
    assert other.result()[2] != later[2]


async def test_five_thousand_targets_in_three_causes_are_a_small_page():
    async with serving(three_causes(5000, NOW)) as session:
        _, _, html = await get(session, "/")
        chosen = (await get(session, "/targets?cause=credential%3Asql-prod%3Asecret_expired"))[2]
    assert len(html.encode()) < 150_000
    shown = words(html)
    assert "2,506 of 10,004 SQL Servers: vault side not ready 1,251 not ready 1 failing 0 unknown 3,748 ready 3 causes" in shown
    assert "Next expiry: in 8 d , credential sql-archive" in shown
    assert "3303 Who acts: the DBA 2,500 SQL Servers in 157 availability groups: SQL0006 on n0006" in shown
    assert (
        "6 SQL Servers in 1 availability group: SQL0002-0 on n0002-0, SQL0002-1 on n0002-1, SQL0002-2 on n0002-2 and 3 more. "
        "Target billing-0001 First:" in shown
    )
    assert html.count("First:") == 3  # the rows do not repeat the action of their cause
    assert "1250 of 5000 targets match." in words(chosen)
    assert "archive-0005" not in html.split("<tbody>")[0]


async def test_target_page_draws_the_chain_with_the_broken_link():
    service = Service()
    service.add_reports(good())
    _, _, html = await answer(service, "/targets/contoso-key0")
    assert "no link is known to be broken" in html
    assert 'class="broken"' not in html
    service.add_reports(bad())
    _, _, html = await answer(service, "/targets/contoso-key0")
    drawing = html.split('class="chain"')[1].split("</div>")[0]
    assert "broken at Credential sql-prod: the client secret has expired" in drawing
    assert re.findall(r'<span class="(\w+)" title="([^:]+):', drawing) == [
        ("before", "Exporter host"), ("before", "Entra ID"), ("broken", "Credential"),
        ("after", "Vault"), ("after", "Key"), ("after", "SQL Server"),
    ]  # fmt: skip


async def test_expiring_soon_is_a_section_an_order_a_field_and_a_calendar():
    made = config(target("first"), target("second", credential="web"))
    service = Service(replace(made, credentials={n: replace(made.credentials["sql-prod"], name=n) for n in ("sql-prod", "web")}))
    service.add_reports(*(replace(good(name), key=None) for name in ("first", "second")))
    service.ends = {
        name: (CredentialExpiry(credential=name, source=Source.GRAPH, expires_at=NOW + days * 86400, looked_up_at=NOW),)
        for name, days in {"sql-prod": 8.1, "web": 3.1}.items()
    }
    async with serving(service) as session:
        shown = words((await get(session, "/"))[2])
        _, _, ordered = await get(session, "/targets?sort=expiry")
        payload = json.loads((await get(session, "/api/v1/targets"))[2])["expiring"]
        status, headers, feed = await get(session, "/calendar.ics")
    assert "Next expiry: in 3 d , credential web Expiring soon 2 within 30 days, TLS certificates within 14 days." in shown
    assert shown.index("web in 3 d credential, date of Microsoft Graph, second . How to roll it over") < shown.index(
        "sql-prod in 8 d credential, date of Microsoft Graph, first . How to roll it over"
    )
    order = "begin today on SQLPRD01, SQLPRD02, secondaries before the primary."
    assert f"How to roll it over . Ends at 2026-01-05 05:28 UTC: {order}" in shown
    assert re.findall(r'<a href="/targets/([^"?]+)"', ordered) == ["second", "first"]
    assert [(each["name"], each["days_left"], each["alert"], each["targets"]) for each in payload] == [
        ("web", 3.1, "EkmCredentialExpires", 1), ("sql-prod", 8.1, "EkmCredentialExpires", 1),
    ]  # fmt: skip
    assert (status, headers["Content-Type"]) == (200, "text/calendar; charset=utf-8")
    assert feed.count("BEGIN:VEVENT") == 2


async def test_changes_page_lists_the_newest_first_with_links():
    service = fleet()
    service.add_reports(bad("healthy", started_at=NOW - 60))
    service.add_reports(bad("healthy", step=Step.GET_KEY, code=3077, started_at=NOW - 30))
    status, _, html = await answer(service, "/changes")
    shown = words(html)
    assert status == 200
    assert (
        "30 s ago 2026-01-02 03:03:40 UTC healthy SQLPRD01, SQLPRD02 code 3303 ErrorGetTokenBadCredentials 3077 (3113 on connector 1.0.5.0) "
        "ErrorHttpOperationForbidden 3077 (3113 on connector 1.0.5.0) ErrorHttpOperationForbidden the client secret has expired "
        "1 min ago 2026-01-02 03:03:10 UTC healthy SQLPRD01, SQLPRD02 state ready not ready 3303 ErrorGetTokenBadCredentials the client secret has expired"
    ) in shown


async def test_one_firewall_change_on_forty_vaults_is_one_row():
    names = [f"app-{number:02}" for number in range(60)]
    servers = [({"sql_instance": f"SQL{name}"},) for name in names]
    targets = [target(name, vault=f"{name}.vault.azure.net", instances=each) for name, each in zip(names, servers, strict=True)]
    service = Service(config(*targets))
    refused = {"step": Step.GET_KEY, "code": 3077, "reason": Reason.FORBIDDEN_FIREWALL, "status": 403}
    for number, name in enumerate(names[:55]):
        service.add_reports(good(name, started_at=NOW - 900), bad(name, started_at=NOW - 120 - number, **refused))
    service.add_reports(good(names[0], started_at=NOW - 20))
    _, _, html = await answer(service, "/changes")
    shown = words(html)
    assert "20 s ago 2026-01-02 03:03:50 UTC app-00 SQLapp-00 state not ready ready ended: 3077" in shown
    assert (
        "2 min ago 2026-01-02 03:02:10 UTC within 54 s 55 targets, 55 vaults, 55 SQL Servers app-00 SQLapp-00 app-01 SQLapp-01"
        in shown
    )
    assert (
        "app-49 SQLapp-49 and 5 more state ready not ready 3077 (3113 on connector 1.0.5.0) ErrorHttpOperationForbidden" in shown
    )
    assert html.count("<tr ") == 2


async def test_new_versions_of_several_keys_are_one_row():
    service = Service(config(target("a"), target("b")))
    for name, version in (("a", "1" * 32), ("b", "2" * 32)):
        changed = ObservedChange(NOW - 5, ChangeKind.NEWEST_VERSION, "0" * 32, version)
        service.add_reports(good(name))
        service.record_of(name).changes += (changed,)
    shown = words((await answer(service, "/changes"))[2])
    assert (
        f"2 targets, 1 vault, 2 SQL Servers a SQLPRD01, SQLPRD02 b SQLPRD01, SQLPRD02 newest key version {'0' * 32} one for each"
        in shown
    )


@pytest.mark.parametrize(
    ("path", "failure", "times"),
    [
        ("/targets/refused", {}, 1),
        ("/targets/refused", {"step": Step.WRAP_KEY, "code": 3077, "reason": Reason.FORBIDDEN_RBAC, "ready": True}, 0),
        ("/explain/3303", {}, 1),
        ("/explain?code=secret_expired", {}, 1),
    ],
)
async def test_page_of_a_target_that_is_not_ready_alone_names_the_three_clocks(path, failure, times):
    service = Service(config(target("refused")))
    service.add_reports(bad("refused", **failure))
    assert words((await answer(service, path))[2]).count(WITHOUT_THE_KEY) == times
