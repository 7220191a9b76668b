"""Alerts on SQL Server's series: they use series of the exporter, and promtool checks silent, firing and resolved.

tests/unit/sqlserver/test_alerting.py has what the exporter decides, tests/integration/sqlservers/stories.py the way from SQL Server to the alert.
"""

import re

import pytest

from exporter.metrics.families import BY_NAME
from tests.repo.deploy.rule_cases import (
    N1,
    N2,
    OTHER_EXPORTER,
    RECORDED,
    RULES,
    checked,
    count,
    labelled,
    of_other_exporter,
    problems,
    series,
)
from tests.system.alerts.queries import rule_queries, selectors

OF_A_SCRAPE = {"job", "instance"}
SINCE = "mssql_ekm_backups_failing_since_timestamp_seconds"
FULL = "mssql_ekm_log_full_timestamp_seconds"
HOURS = 60  # one value a minute
OWNERS = 'team="payments",env="test"'
KEY = 'key_name="SalesKey",thumbprint="0x01"'
CREDENTIAL = 'ag="AG7",provider="AzureKV",credential="tde",credential_identity="contoso-prod"'
PROVIDER = 'ag="AG7",provider="AzureKV"'
DIFFERENCE = 'target="contoso-key0",thumbprint="0x02",key_uri="",difference="SQLPRD01 uses another key",action="write it"'


def labels_of(metric):
    """Return the labels of a series of the exporter or of a recorded one."""
    if metric in RECORDED:
        own = {each.name for each in selectors(RECORDED[metric]["expr"])} - {metric}
        return set.union(*(labels_of(name) for name in own))
    return OF_A_SCRAPE | set(BY_NAME[metric].labels)


def texts(rule):
    return " ".join(rule["annotations"].values())


@pytest.mark.parametrize("name", RULES)
def test_alert_has_the_common_form(name):
    rule = RULES[name]
    assert re.fullmatch(r"EkmSql([A-Z][a-z]+)+", name)
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url", "dashboard_url"} | (
        {"impact"} if rule["labels"]["severity"] == "critical" else set()
    )
    assert re.fullmatch(r"[^{}]+\.", rule["annotations"]["summary"])
    assert "for" in rule


@pytest.mark.parametrize("name", [*RULES, *RECORDED])
def test_rule_uses_series_and_labels_of_the_exporter(name):
    rule = (RULES | RECORDED)[name]
    for selector in (each for query in rule_queries(rule) for each in selectors(query)):
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels_of(selector.name)


@pytest.mark.parametrize("name", RULES)
def test_alert_groups_by_labels_of_its_series(name):
    rule = RULES[name]
    known = set.union(*(labels_of(each.name) for each in selectors(rule["expr"])))
    grouped = {one.strip() for text in re.findall(r"(?:by|on) \(([^)]+)\)", rule["expr"]) for one in text.split(",")}
    assert grouped | set(re.findall(r"\$labels\.(\w+)", texts(rule))) <= known


@pytest.mark.parametrize("name", RULES)
def test_alert_decides_nothing_and_is_one_plain_condition(name):
    rule = RULES[name]
    assert len(" ".join(rule["expr"].split())) <= 400
    assert len(" ".join(rule["annotations"]["description"].split())) <= 700
    assert "match" not in texts(rule)
    assert rule["expr"].rstrip().endswith(":mssql_ekm_alerts:labels")  # team, environment, maintenance


def lasting(name, own, values, *, node=N1):
    return series(f"mssql_ekm_{name}", f"{node},{own}" if own else node, values)


# alert: the series, minutes at which it must be silent, firing, resolved. The exporter restarts within some.
STORIES = {
    "EkmSqlDatabaseNotOpened": ([lasting("database_state", 'database="sales"', "0x5 3x10 stale _x6 3x10 0x20")], (6, 20, 36)),
    "EkmSqlProviderDisabled": ([lasting("provider_enabled", 'provider="AzureKV"', "1x5 0x20 1x20")], (9, 15, 30)),
    "EkmSqlBackupsFail": ([series(SINCE, N1, "0x10 _x5 600x20 stale _x14 0x20")], (15, 40, 53)),
    "EkmSqlLogFillsUp": ([series(FULL, f'{N1},database="pay"', "_x10 9000x40 stale _x20")], (15, 30, 53)),
    "EkmSqlNotProven": ([lasting("proof_due_since_timestamp_seconds", KEY, "_x10 600x300 stale _x30")], (240, 260, 325)),
    "EkmSqlKeyWithoutCredential": ([lasting("key_without_credential", f'{KEY},login=""', "_x10 1x60 stale _x30")], (30, 50, 85)),
    # Both are a year old; one node rolled at one o'clock, the other one two days later.
    "EkmSqlNodesDiffer": (
        [
            *(
                lasting(f"credential_{name}_timestamp_seconds", CREDENTIAL, "-31536000x59 3600x1600")
                for name in ("modified", "altered")
            ),
            lasting("credential_modified_timestamp_seconds", CREDENTIAL, "-31536000x1559 93600x100", node=N2),
            lasting("provider_info", PROVIDER, "1x1700"),
        ],
        (24 * HOURS, 25 * HOURS + 30, 26 * HOURS + 15),
    ),
    "EkmSqlConfigurationDiffers": (
        [
            lasting("difference_databases", f'kind="other_version",{DIFFERENCE}', "_x5 3x40 stale _x3 3x60 stale _x40"),
            lasting("section_timestamp_seconds", 'section="encryption"', "0x200"),
        ],
        (60, 80, 130),
    ),
    # Read each minute until ten o'clock, and again from 90 on.
    "EkmSqlNotRead": ([lasting("read_until_timestamp_seconds", "", "1200+60x10 1800x80 9000x60")], (50, 70, 95)),
}


def whole(name, enabled="1x1700"):
    """Return the series of a story, with those that every SQL Server has."""
    more = [
        series("mssql_ekm_alerts_enabled", f'{N1},ag="AG7",{OWNERS}', enabled),
        *([lasting("read_until_timestamp_seconds", "", "1e9x1700")] if name != "EkmSqlNotRead" else []),
        lasting("read_success", "", "1x1700"),
        lasting("section_timestamp_seconds", 'section="instance"', "0+60x1700"),
    ]
    return [*STORIES[name][0], *more]


def test_every_alert_has_a_story():
    assert STORIES.keys() == RULES.keys()


@pytest.mark.real
@pytest.mark.parametrize("name", STORIES)
def test_alert_is_silent_then_fires_then_resolves_with_team_and_environment(name, tmp_path):
    before, during, after = STORIES[name][1]
    labels = ',team="payments",env="test"'
    checks = [count(before, name, 0), count(during, name, 1, labels), count(during, name, 1), count(after, name, 0)]
    assert problems(tmp_path, checks, whole(name)) == ""


@pytest.mark.real
@pytest.mark.parametrize("name", STORIES)
def test_series_that_are_scraped_twice_break_no_rule(name, tmp_path):
    """Two exporters read, two Prometheus servers scrape one exporter, and two clusters have an exporter of one name."""
    given, (before, during, after) = whole(name), STORIES[name][1]
    twice = {
        "exporters": [*given, *of_other_exporter(given)],
        "replicas": [*labelled(given, 'prometheus="a"'), *labelled(given, 'prometheus="b"')],
        "clusters": [
            *labelled(given, 'cluster="a"'),
            *labelled(of_other_exporter(given), 'cluster="a"'),
            *labelled(given, 'cluster="b"'),
        ],
    }
    assert problems(tmp_path, [count(before, name, 0), count(during, name, 1), count(after, name, 0)], twice) == ""


@pytest.mark.real
@pytest.mark.parametrize("name", STORIES)
def test_maintenance_window_silences_the_alert_until_its_end(name, tmp_path):
    _, during, _ = STORIES[name][1]
    ended = f"0x{during - 2} 1x1700"  # the fault outlasts it
    assert problems(tmp_path, [count(during, name, 0)], whole(name, "0x1700")) == ""
    if RULES[name]["for"] in ("2m", "5m"):
        later = problems(tmp_path, [count(during - 3, name, 0), count(during + 6, name, 1)], whole(name, ended))
        assert later == ""


@pytest.mark.real
def test_server_without_targets_has_alerts_without_a_team(tmp_path):
    given = [each for each in whole("EkmSqlBackupsFail") if "enabled" not in each["series"]]
    assert problems(tmp_path, [count(40, "EkmSqlBackupsFail", 1, ',team="",env=""')], given) == ""


@pytest.mark.real
def test_page_of_failing_backups_ends_only_by_what_the_exporter_says(tmp_path):
    """After a restart it does not know: the page holds, while an exporter has the SQL Server. What began nowhere begins by no restart."""
    read = lasting("read_success", "", "1x200")
    said = {
        name: [series(SINCE, N1, values), read]
        for name, values in (("ends", "600x30 stale _x60 0x30"), ("never began", "0x30 stale _x60 0x30"))
    }
    assert (
        problems(tmp_path, [count(at, "EkmSqlBackupsFail", 1) for at in (20, 45, 85)], {"": [*said["ends"], newest("1x200")]})
        == ""
    )
    assert problems(tmp_path, [count(100, "EkmSqlBackupsFail", 0)], {"": [*said["ends"], newest("1x200")]}) == ""
    assert (
        problems(
            tmp_path,
            [count(at, "EkmSqlBackupsFail", 0) for at in (20, 45, 85, 100)],
            {"": [*said["never began"], newest("1x200")]},
        )
        == ""
    )
    gone = [series(SINCE, N1, "600x30 stale"), lasting("read_success", "", "1x30 stale"), newest("1x30 stale")]
    assert problems(tmp_path, [count(60, "EkmSqlBackupsFail", 0)], gone) == ""


def newest(values, node=N1):
    return lasting("section_timestamp_seconds", 'section="instance"', values, node=node)


@pytest.mark.real
@pytest.mark.parametrize(("mine", "others", "number"), [("0", "600", 0), ("600", "0", 1)])
def test_exporter_that_read_the_server_last_decides(mine, others, number, tmp_path):
    """The other one is refused since, and keeps what it knew."""
    node = N1.replace('job="ekm",instance="c:10377"', OTHER_EXPORTER)
    given = [series(SINCE, N1, f"{mine}x100"), newest("0+60x100"), series(SINCE, node, f"{others}x100"), newest("60x100", node)]
    assert problems(tmp_path, [count(50, "EkmSqlBackupsFail", number)], [*given, lasting("read_success", "", "1x100")]) == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("alert", "metric", "bad", "good"),
    [
        ("EkmSqlDatabaseNotOpened", ("database_state", 'database="sales"'), 3, 0),
        ("EkmSqlProviderDisabled", ("provider_enabled", 'provider="AzureKeyVault"'), 0, 1),
    ],
)
def test_what_an_exporter_saw_when_its_reading_stopped_does_not_count_beside_another_one(tmp_path, alert, metric, bad, good):
    stopped = [lasting("read_success", "", "0x100"), lasting("read_until_timestamp_seconds", "", "1200+60x5 1500x95")]
    reading = lasting("read_until_timestamp_seconds", "", "1200+60x100")
    mended = of_other_exporter([lasting(*metric, f"{bad}x20 {good}x80"), reading])
    broken = of_other_exporter([lasting(*metric, f"{good}x40 {bad}x60"), reading])
    seen = {value: lasting(*metric, f"{value}x100") for value in (bad, good)}
    for given, early, late in (((seen[bad], *mended), 1, 0), ((seen[bad],), 1, 1), ((seen[good], *broken), 0, 1)):
        assert problems(tmp_path, [count(15, alert, early), count(60, alert, late)], [*stopped, *given]) == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("values", "number"),
    [
        ("30000x30 9000x5 30000x30", 1),
        ("30000x100", 0),
        ("Inf " * 100, 0),
        ("9000x20 " + "Inf " * 60, 1),
        ("9000x30 stale _x6 9000x30", 1),
        ("9000x43 stale _x50", 0),
    ],
    ids=["burst", "slow", "unknown", "unknown since", "restart", "emptied"],
)
def test_log_with_an_uneven_rate_is_one_page(values, number, tmp_path):
    """While the exporter restarts, it says nothing."""
    said = "1e9x30 stale _x6 1e9x30" if "_x6" in values else "1e9x100"
    given = [
        series(FULL, f'{N1},database="pay"', values),
        lasting("read_success", "", "1x100"),
        lasting("read_until_timestamp_seconds", "", said),
    ]
    assert problems(tmp_path, [count(at, "EkmSqlLogFillsUp", number) for at in (46, 55)], given) == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("version", "path", "number"),
    [("15.0.2000.440", "C:\\\\ekm.dll", 0), ("15.0.300.96", "C:\\\\ekm.dll", 1), ("15.0.2000.440", "D:\\\\ekm.dll", 1)],
    ids=["equal", "other build", "other path"],
)
def test_loaded_dlls_of_a_group_differ_by_build_or_path(version, path, number, tmp_path):
    given = [
        lasting("provider_dll_info", f'{PROVIDER},file_version="15.0.2000.440",dll_path="C:\\\\ekm.dll"', "1x1600"),
        lasting("provider_dll_info", f'{PROVIDER},file_version="{version}",dll_path="{path}"', "1x1600", node=N2),
        lasting("provider_info", f'{PROVIDER},provider_version="1.0.5.0"', "1x1600"),
    ]
    assert problems(tmp_path, [count(25 * HOURS, "EkmSqlNodesDiffer", number)], given) == ""
    wrong = {"eval_time": f"{25 * HOURS}m", "alertname": "EkmSqlNodesDiffer", "exp_alerts": [{"exp_labels": {"x": "y"}}]}
    output = re.sub(r"\s+", " ", checked(tmp_path, {"input_series": given, "alert_rule_test": [wrong]}))
    assert output.count(f"provider AzureKV has 2 versions; n1: 15.0.2000.440; n2: {version}. Acts: DBA.") == number, output


@pytest.mark.real
def test_credentials_that_were_never_rolled_or_long_ago_are_no_ticket(tmp_path):
    def of(node, at, altered):
        names = ("modified", "altered") if altered else ("modified",)
        return [lasting(f"credential_{name}_timestamp_seconds", CREDENTIAL, f"{at}x1600", node=node) for name in names]

    quiet = {
        "created apart": [*of(N1, -9_000_000, altered=False), *of(N2, -100, altered=False)],
        "rolled within days": [*of(N1, -432_000, altered=True), *of(N2, -100, altered=True)],
        "one node corrected long ago": [*of(N1, -90_000_000, altered=False), *of(N2, -8_000_000, altered=True)],
    }
    assert problems(tmp_path, [count(25 * HOURS, ".*", 0)], quiet) == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("thumbprint", "more", "number"),
    [
        ("0x02", 'pin="config",mode="full"', 0), ("", 'pin="config",mode="full"', 1), ("0x02", 'pin="none",mode="full"', 1),
        ("0x02", 'pin="config",mode="canary"', 1), ("0x01", 'pin="config",mode="full"', 1),
    ],
    ids=["pin", "none", "bare name", "canary", "other key"],
)  # fmt: skip
def test_target_of_another_exporter_with_that_pin_covers_a_key(thumbprint, more, number, tmp_path):
    given, _ = STORIES["EkmSqlConfigurationDiffers"]
    given = [{**each, "series": each["series"].replace("other_version", "key_not_probed")} for each in given]
    target = f'{OTHER_EXPORTER},target="elsewhere",thumbprint="{thumbprint}",{more}'
    given += [series("ekm_target_info", target, "1x30 _x200"), lasting("read_success", "", "1x200")]  # that exporter stops
    assert problems(tmp_path, [count(80, "EkmSqlConfigurationDiffers", number)], given) == ""


@pytest.mark.real
def test_difference_that_one_of_two_exporters_reports_is_no_ticket(tmp_path):
    """It has the new pin already."""
    given = [*whole("EkmSqlConfigurationDiffers"), *of_other_exporter(whole("EkmSqlConfigurationDiffers")[1:])]
    assert problems(tmp_path, [count(80, "EkmSqlConfigurationDiffers", 0)], given) == ""


@pytest.mark.real
def test_difference_whose_text_changes_is_one_ticket(tmp_path):
    first, later = (DIFFERENCE.replace("another key", f"another key for {number} databases") for number in (1, 2))
    given = [
        *whole("EkmSqlConfigurationDiffers")[1:],
        lasting("difference_databases", f'kind="other_version",{first}', "_x5 1x70 stale"),
        lasting("difference_databases", f'kind="other_version",{later}', "_x77 2x60"),
    ]
    assert problems(tmp_path, [count(minute, "EkmSqlConfigurationDiffers", 1) for minute in (74, 80, 120)], given) == ""


def said(about, action, database="", shows=""):
    own = f'about="{about}",database="{database}",shows="{shows}",action="{action}"'
    return lasting("first_action_info", own, "1x1700")


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "more", "text"),
    [
        ("EkmSqlDatabaseNotOpened", said("closed", "read it", "sales"), "sales on SQLPRD01 (n1) is RECOVERY PENDING. Acts: DBA. First: read it."),
        ("EkmSqlBackupsFail", said("backups", "write it", shows=" with code 3303"), "on SQLPRD01 (n1) fail with code 3303. Acts: DBA. First: write it."),
        ("EkmSqlLogFillsUp", said("log", "free it", "pay"), "at its present rate. Acts: DBA. First: free it."),
        ("EkmSqlNotRead", said("reading", "check it", shows="it was never read"), "cannot read SQLPRD01 (n1): it was never read. Acts: DBA. First: check it."),
        ("EkmSqlConfigurationDiffers", said("other", ""), "SQLPRD01 uses another key. First: write it."),
        ("EkmSqlDatabaseNotOpened", said("other", ""), "sales on SQLPRD01 (n1) is RECOVERY PENDING. See the runbook."),
        ("EkmSqlBackupsFail", said("other", ""), "on SQLPRD01 (n1) fail. See the runbook."),
        ("EkmSqlNotRead", said("other", ""), "cannot read SQLPRD01 (n1). See the runbook."),
        ("EkmSqlKeyWithoutCredential", said("other", ""), "The login of key SalesKey on SQLPRD01 (n1) has no credential."),
    ],
)  # fmt: skip
def test_alert_says_what_the_exporter_says(name, more, text, tmp_path):
    """promtool prints the text, because the expectation is wrong. Of two exporters, one is heard."""
    given = [*whole(name), more, *of_other_exporter([more])]
    wrong = {"eval_time": f"{STORIES[name][1][1]}m", "alertname": name, "exp_alerts": [{"exp_labels": {"x": "y"}}]}
    output = re.sub(r"\s+", " ", checked(tmp_path, {"input_series": given, "alert_rule_test": [wrong]}))
    assert output.count(text) == 1, output
