"""Alerts on SQL Server's series: they use series of the exporter, and promtool checks silent, firing and resolved."""

import re
from pathlib import Path

import promql_parser
import pytest

from exporter.knowledge.verdict import NOT_TESTED
from exporter.metrics.families import BY_NAME
from tests.repo.deploy.rule_cases import (
    EXPORTER,
    FILE,
    FULL,
    HOURS,
    N1,
    N2,
    N3,
    NEW,
    OLD,
    OTHER_EXPORTER,
    RECORDED,
    RULES,
    checked,
    count,
    differs,
    firing,
    of_other_exporter,
    pinned,
    problems,
    promtool,
    read,
    series,
    side,
)

OF_A_SCRAPE = {"job", "instance"}
SQL_METRICS = [name for name in BY_NAME if name.startswith("mssql_")]
CREDENTIAL = 'provider="AzureKV",credential="tde",credential_identity="contoso-prod"'


def selectors(node):
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if hasattr(node, name):
            yield from selectors(getattr(node, name))
    for argument in getattr(node, "args", None) or []:
        yield from selectors(argument)


def labels_of(metric):
    """Return the labels of a series of the exporter, of a recorded one, or of an alert."""
    if metric == "ALERTS":
        return {"alertname", "alertstate"} | set.union(*(set(BY_NAME[name].labels) for name in SQL_METRICS))
    if metric in RECORDED:
        own = {each.name for each in selectors(promql_parser.parse(RECORDED[metric]["expr"]))} - {metric}
        return set.union(*(labels_of(name) for name in own))
    return OF_A_SCRAPE | set(BY_NAME[metric].labels)


def texts(rule):
    return " ".join(rule["annotations"].values())


def inner_queries(rule):
    """Return the PromQL in the templates of the annotations."""
    found = re.findall(r'printf (?:"([^"]+)"|`([^`]+)`)', texts(rule))
    return [text.replace("%q", '"x"').replace("%f", "1") for either in found for text in either if text]


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
    for selector in selectors(promql_parser.parse((RULES | RECORDED)[name]["expr"])):
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels_of(selector.name)


@pytest.mark.parametrize("name", RULES)
def test_alert_groups_by_labels_of_its_series(name):
    rule = RULES[name]
    series = [selector.name for selector in selectors(promql_parser.parse(rule["expr"]))]
    grouped = {one.strip() for text in re.findall(r"(?:by|on|without) \(([^)]+)\)", rule["expr"]) for one in text.split(",")}
    shown = set(re.findall(r"\$labels\.(\w+)", texts(rule)))

    assert grouped <= set.union(*map(labels_of, series))
    assert shown <= labels_of(series[0]) | labels_of(series[-1])


@pytest.mark.parametrize("name", RULES)
def test_alert_text_queries_use_exporter_labels(name):
    for query in inner_queries(RULES[name]):
        for selector in selectors(promql_parser.parse(query)):
            assert {matcher.name for matcher in selector.matchers.matchers} <= labels_of(selector.name)


def test_seven_alert_texts_contain_a_query():
    assert [name for name in RULES if inner_queries(RULES[name])] == [
        "EkmSqlDatabaseNotOpened",
        "EkmSqlBackupsFail",
        "EkmSqlLogFillsUp",
        "EkmSqlNotProven",
        "EkmSqlOtherKeyVersion",
        "EkmSqlKeyNotProbed",
        "EkmSqlNotRead",
    ]


PROVIDER = 'ag="AG7",provider="AzureKV"'


# alert: the series, minutes at which it must be silent, firing, resolved
STORIES = {
    "EkmSqlDatabaseNotOpened": (
        [series("mssql_ekm_database_state", f'{N1},database="sales"', "0x5 3x10 0x20")],
        (6, 10, 20),
    ),
    "EkmSqlProviderDisabled": (
        [series("mssql_ekm_provider_enabled", f'{N1},provider="AzureKV"', "1x5 0x20 1x20")],
        (9, 15, 30),
    ),
    # both a year old; one node rolled at one o'clock, the other two days later
    "EkmSqlCredentialLeftBehind": (
        [
            series("mssql_ekm_credential_modified_timestamp_seconds", f'{N1},{CREDENTIAL},ag="AG7"', "-31536000x59 3600x3600"),
            series("mssql_ekm_credential_altered_timestamp_seconds", f'{N1},{CREDENTIAL},ag="AG7"', "-31536000x59 3600x3600"),
            series("mssql_ekm_credential_modified_timestamp_seconds", f'{N2},{CREDENTIAL},ag="AG7"', "-31536000x2939 176400x700"),
        ],
        (24 * HOURS, 26 * HOURS, 50 * HOURS),
    ),
    "EkmSqlProviderVersionsDiffer": (
        [
            series("mssql_ekm_provider_loaded_info", f'{N1},{PROVIDER},provider_version="1.0.5.0"', "1x1700 _x100"),
            series("mssql_ekm_provider_loaded_info", f'{N1},{PROVIDER},provider_version="1.0.6.0"', "_x1700 1x300"),
            series("mssql_ekm_provider_loaded_info", f'{N2},{PROVIDER},provider_version="1.0.6.0"', "1x2000"),
            series("mssql_ekm_provider_info", f'{N1},{PROVIDER},provider_version="1.0.5.0"', "1x2000"),
            series("mssql_ekm_provider_info", f'{N2},{PROVIDER},provider_version="1.0.5.0"', "1x2000"),
        ],
        (23 * HOURS, 25 * HOURS, 29 * HOURS),
    ),
    # moved to a new version at five; the exporter restarts at 25; the target follows at sixty
    "EkmSqlOtherKeyVersion": (differs("other_version", "_x5 3x19 stale _x3 3x30 stale _x40"), (30, 40, 75)),
    # a second database with a key of its own, a restart after an hour, and its target after three hours
    "EkmSqlKeyNotProbed": (differs("key_not_probed", "_x10 1x60 stale _x5 1x102 stale _x40", target=""), (60, 75, 195)),
}


def test_every_alert_has_a_story():
    proofs = Path(__file__).with_name("test_sql_proof_rules.py").read_text(encoding="utf-8")
    assert [name for name in RULES if name not in STORIES and f'"{name}", 1)' not in proofs] == []


@pytest.mark.real
def test_promtool_accepts_rules():
    assert promtool("check", "rules", str(FILE)).startswith("0 ")


@pytest.mark.real
@pytest.mark.parametrize("name", STORIES)
def test_alert_is_silent_then_fires_then_resolves(name, tmp_path):
    given, (before, during, after) = STORIES[name]
    checks = [count(before, name, 0), count(during, name, 1), count(after, name, 0)]

    assert problems(tmp_path, checks, given) == ""


def ready(value, instance="c:10377", vantage="central"):
    of = f'job="ekm",instance="{instance}",target="contoso-key0",vault="contoso-prod.vault.azure.net"'
    return [
        series("ekm_target_info", f'{of},credential="tde",vantage="{vantage}"', "1x20"),
        series("ekm_vault_side_ready", of, value),
        series("ekm_instance_info", f'{of},sql_instance="SQLPRD01",host="n1",ag="AG7"', "1x20"),
        series("ekm_instance_info", f'{of},sql_instance="SQLPRD01",host="n2",ag="AG7"', "1x20"),
    ]


def described(tmp_path, *given, node=N1):
    """Return the description of the alert that fires at minute 10.

    promtool prints it because the expectation is wrong.
    """
    state = series("mssql_ekm_database_state", f'{node},database="sales"', "3x20")
    wrong = firing(10, "EkmSqlDatabaseNotOpened", {"exp_labels": {"severity": "none"}})
    output = checked(tmp_path, {"input_series": [state, *given], "alert_rule_test": [wrong]})
    return re.sub(r"\s+", " ", output)


@pytest.mark.real
@pytest.mark.parametrize(
    ("given", "text"),
    [
        (ready("1x20"), f"reported by ekm-exporter: contoso-key0 ready, seen from a central host. Not tested: {NOT_TESTED}."),
        (ready("0x20"), f"reported by ekm-exporter: contoso-key0 not ready, seen from a central host. Not tested: {NOT_TESTED}."),
        (
            [*ready("1x20"), *ready("0x20", "d:10377")],
            "reported by ekm-exporter: contoso-key0 not ready, seen from a central host. Not",
        ),
        ([*ready("1x20"), *ready("0x20", "s:10377", "sql_host")], "contoso-key0 not ready, seen on the SQL host. "),
        ([*ready("1x20"), *ready("0x20", "s:10377", "sql_host")], "contoso-key0 ready, seen from a central host. "),
        ([], "reported by ekm-exporter: not known for this instance."),
    ],
    ids=["ready", "not ready", "of two the worse", "on the host", "on the host and centrally", "not known"],
)
def test_closed_database_alert_shows_the_verdict(tmp_path, given, text):
    output = described(tmp_path, *given)

    assert "Database sales on SQLPRD01 (n1) is RECOVERY PENDING." in output
    assert text in output
    assert f"`ekm-exporter probe {'contoso-key0' if given else 'TARGET'} --config.file FILE`" in output


def declared(host, *paired):
    """Return a ready target of an exporter that names SQLPRD01 on a host, and the SQL Servers of which the exporter says so."""
    target = f'{EXPORTER},target="contoso-key0",vault="contoso-prod.vault.azure.net"'
    pairs = [series("mssql_ekm_target_info", f'{node},target="contoso-key0"', "1x20") for node in paired]
    return [series("ekm_instance_info", f'{target},sql_instance="SQLPRD01",host="{host}"', "1x20"), side("1x20"), *pairs]


OTHERS_N1, OTHERS_N2 = (read(node.replace(EXPORTER, OTHER_EXPORTER), 20) for node in (N1, N2))


@pytest.mark.real
@pytest.mark.parametrize(
    ("given", "is_paired"),
    [
        ([*declared("N1.contoso.com", N1), *read(N1, 20)], True),
        ([*declared("", N1), *read(N1, 20), *OTHERS_N2], True),
        ([*declared("n1", N2), *read(N1, 20), *read(N2, 20)], False),
        ([*declared("n1"), *read(N1, 20)], True),
        ([*declared("n1", N2), *read(N2, 20), *OTHERS_N1], True),
        ([*declared(""), *OTHERS_N1], True),
        ([*declared(""), *OTHERS_N1, *OTHERS_N2], False),
    ],
    ids=["as written", "without a host", "possible", "older exporter", "of another exporter", "the only one", "one of two"],
)
def test_verdict_is_of_the_targets_that_certainly_list_the_server(given, is_paired, tmp_path):
    found = {
        "labels": 'sql_server_target:ekm_vault_side_ready:max{sql_instance="SQLPRD01",host="n1",target="contoso-key0"}',
        "value": 1,
    }
    check = {
        "expr": 'sql_server_target:ekm_vault_side_ready:max{host="n1"}',
        "eval_time": "10m",
        "exp_samples": [found] if is_paired else [],
    }

    assert problems(tmp_path, [check], given) == ""


@pytest.mark.real
def test_closed_database_alert_of_a_named_instance_has_its_text(tmp_path):
    """The label of a named instance has a backslash, which a query must escape."""
    named = [{**one, "series": one["series"].replace("SQLPRD01", r"SQLPRD01\\A")} for one in ready("1x20")]
    output = described(tmp_path, *named, node=N1.replace("SQLPRD01", r"SQLPRD01\\A"))

    assert "contoso-key0 ready, seen from a central host." in output
    assert "error" not in output.replace("error log", "")


@pytest.mark.real
def test_restart_of_sql_server_is_no_second_page(tmp_path):
    state = series("mssql_ekm_database_state", f'{N1},database="sales"', "0x5 3x10 stale _x6 3x10 0x20")
    checks = [count(at, "EkmSqlDatabaseNotOpened", 1) for at in range(9, 33)]
    checks += [count(at, "EkmSqlDatabaseNotOpened", 0) for at in (4, 36)]

    assert problems(tmp_path, checks, [state]) == ""


# No alert: credentials that were created at different times, a roll-over that took some days, stand-alone servers.
QUIET = {
    "created apart": [
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N1},{CREDENTIAL},ag="AG7"', "-9000000x3000"),
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N2},{CREDENTIAL},ag="AG7"', "-100x3000"),
    ],
    "rolled within days": [
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N1},{CREDENTIAL},ag="AG7"', "-432000x3000"),
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N2},{CREDENTIAL},ag="AG7"', "-100x3000"),
        series("mssql_ekm_credential_altered_timestamp_seconds", f'{N1},{CREDENTIAL},ag="AG7"', "-432000x3000"),
        series("mssql_ekm_credential_altered_timestamp_seconds", f'{N2},{CREDENTIAL},ag="AG7"', "-100x3000"),
    ],
    "no availability group": [
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N1},{CREDENTIAL},ag=""', "-9000000x3000"),
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N2},{CREDENTIAL},ag=""', "-100x3000"),
        series("mssql_ekm_credential_altered_timestamp_seconds", f'{N2},{CREDENTIAL},ag=""', "-100x3000"),
    ],
    "one node corrected long ago": [
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N1},{CREDENTIAL},ag="AG7"', "-90000000x3000"),
        series("mssql_ekm_credential_modified_timestamp_seconds", f'{N2},{CREDENTIAL},ag="AG7"', "-8000000x3000"),
        series("mssql_ekm_credential_altered_timestamp_seconds", f'{N2},{CREDENTIAL},ag="AG7"', "-8000000x3000"),
    ],
    "database restoring on a secondary": [series("mssql_ekm_database_state", f'{N1},database="sales"', "1x3000")],
}


@pytest.mark.real
def test_healthy_series_fire_no_alert(tmp_path):
    checks = [count(at, ".*", 0) | {"expr": "count(ALERTS) or vector(0)"} for at in (30, 1500, 1800)]

    assert problems(tmp_path, checks, QUIET) == ""


@pytest.mark.real
@pytest.mark.parametrize("name", STORIES)
def test_two_exporters_that_read_fire_one_alert(name, tmp_path):
    given, (_, during, _) = STORIES[name]
    twice = [*given, *of_other_exporter(given)]
    assert problems(tmp_path, [count(during, name, 1)], twice) == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("version", "path", "number"),
    [("15.0.2000.440", "C:\\\\ekm.dll", 0), ("15.0.300.96", "C:\\\\ekm.dll", 1), ("15.0.2000.440", "D:\\\\ekm.dll", 1)],
    ids=["equal", "other build", "other path"],
)
def test_loaded_dlls_of_a_group_differ_by_build_or_path(version, path, number, tmp_path):
    given = [
        series("mssql_ekm_provider_dll_info", f'{N1},{PROVIDER},file_version="15.0.2000.440",dll_path="C:\\\\ekm.dll"', "1x2000"),
        series("mssql_ekm_provider_dll_info", f'{N2},{PROVIDER},file_version="{version}",dll_path="{path}"', "1x2000"),
    ]
    checks = [count(25 * HOURS, "EkmSqlProviderVersionsDiffer", number)]

    assert problems(tmp_path, checks, given) == ""


def not_firing(tmp_path, alert, at, given, *expected):
    """Return what promtool prints unless the alert fires with exactly these labels."""
    found = [
        {"labels": f'ALERTS{{alertname="{alert}",alertstate="firing",severity="warning",{labels}}}', "value": 1}
        for labels in expected
    ]
    checks = [{"expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}', "eval_time": f"{at}m", "exp_samples": found}]
    return problems(tmp_path, checks, given)


@pytest.mark.real
def test_difference_is_one_alert_for_each_sql_server_and_kind(tmp_path):
    given = [*differs("other_version", "3x100"), *differs("key_not_used", "1x100", N2), *differs("other_thumbprint", "1x100", N3)]
    of = f'sql_instance="SQLPRD01",target="contoso-key0",thumbprint="{NEW}"'
    kinds = {"n1": "other_version", "n2": "key_not_used", "n3": "other_thumbprint"}
    expected = [f'{of},host="{host}",kind="{kind}"' for host, kind in kinds.items()]

    assert not_firing(tmp_path, "EkmSqlOtherKeyVersion", 100, [*given, *of_other_exporter(given)], *expected) == ""
    assert not_firing(tmp_path, "EkmSqlKeyNotProbed", 100, given) == ""


@pytest.mark.real
def test_server_that_a_target_does_not_list_is_a_key_not_probed(tmp_path):
    given = [*differs("server_not_listed", "3x100"), *pinned("contoso-key0", NEW, "1x100")]
    expected = f'kind="server_not_listed",sql_instance="SQLPRD01",host="n1",target="contoso-key0",thumbprint="{NEW}"'

    assert not_firing(tmp_path, "EkmSqlKeyNotProbed", 100, given, expected) == ""


@pytest.mark.real
@pytest.mark.parametrize(
    ("thumbprint", "more"),
    [("", FULL), (NEW, 'pin="none",mode="full"'), (NEW, 'pin="config",mode="canary"'), (OLD, FULL)],
    ids=["none", "bare name", "canary", "other key"],
)
def test_target_of_another_exporter_without_that_pin_covers_nothing(tmp_path, thumbprint, more):
    elsewhere = pinned("elsewhere", thumbprint, "1x200", exporter="d:10377", more=more)
    given = [*differs("key_not_probed", "3x200", target=""), *elsewhere]
    expected = f'kind="key_not_probed",sql_instance="SQLPRD01",host="n1",thumbprint="{NEW}"'

    assert not_firing(tmp_path, "EkmSqlKeyNotProbed", 100, given, expected) == ""


URI = f"https://contoso-prod.vault.azure.net/keys/TdeKey/{'b' * 32}"


@pytest.mark.real
@pytest.mark.parametrize(
    ("alert", "difference", "texts"),
    [
        (
            "EkmSqlOtherKeyVersion",
            differs("other_version", "3x100", uri=URI),
            (
                f"SQLPRD01 (n1) uses {URI} of thumbprint {NEW} for 3 databases. Target contoso-key0 pins TdeKey/1 of thumbprint {OLD}, so its",
                f'First: write `key: {URI}` and `thumbprint: \\"{NEW}\\"` to contoso-key0, if the databases were moved on purpose.',
            ),
        ),
        (
            "EkmSqlOtherKeyVersion",
            differs("other_thumbprint", "1x100"),
            (
                f"uses the key of thumbprint {NEW} for 1 database. Target contoso-key0 declares another thumbprint for that key. First: ",
                f'write `thumbprint: \\"{NEW}\\"` to contoso-key0.',
            ),
        ),
        (
            "EkmSqlOtherKeyVersion",
            differs("key_not_used", "1x100"),
            (
                "which this SQL Server does not have any more, so",
                'First: remove `{sql_instance: \\"SQLPRD01\\", host: \\"n1\\"}` from',
            ),
        ),
        (
            "EkmSqlKeyNotProbed",
            differs("key_not_probed", "2x100", target="", thumbprint="0xAB"),
            (
                "SQLPRD01 (n1) uses the key of thumbprint 0xAB for 2 databases. No target probes that key",
                '`{name: NAME, key: KEYURI, thumbprint: \\"0xAB\\", credential: CREDENTIAL, instances: [{sql_instance: \\"SQLPRD01\\", host: \\"n1\\"}]}`.',
            ),
        ),
        (
            "EkmSqlKeyNotProbed",
            differs("server_not_listed", "2x100"),
            ('add `- {sql_instance: \\"SQLPRD01\\", host: \\"n1\\"}` to the `instances` of contoso-key0.',),
        ),
    ],
    ids=["other version", "other thumbprint", "not used", "not probed", "not listed"],
)
def test_text_of_a_difference_has_the_lines_to_write(tmp_path, alert, difference, texts):
    given = [*difference, *pinned("contoso-key0", OLD, "1x100", more=f'{FULL},key="TdeKey/1"')]
    wrong = firing(100, alert, {"exp_labels": {"severity": "none"}})
    output = re.sub(r"\s+", " ", checked(tmp_path, {"input_series": given, "alert_rule_test": [wrong]}, step=5))

    assert [text for text in texts if text not in output] == [], output


# No alert: another exporter probes the key, or has the right pin already.
COVERED = {
    "another exporter pins the thumbprint": [
        *differs("key_not_probed", "3x200", target=""),
        *pinned("elsewhere", NEW, "1x200", exporter="d:10377"),
    ],
    "another exporter pins it, and stopped for some hours": [
        *differs("key_not_probed", "3x200", target=""),
        *pinned("elsewhere", NEW, "1x100 _x90 1x10", exporter="d:10377"),
    ],
    "two exporters read, one with the new pin already": [
        *differs("other_version", "3x200"),
        *of_other_exporter(differs("other_version", "_x200")),
    ],
}


@pytest.mark.real
def test_key_that_another_exporter_covers_fires_no_alert(tmp_path):
    checks = [count(at, ".*", 0) | {"expr": 'count(ALERTS{alertstate="firing"}) or vector(0)'} for at in (5, 95, 195)]
    assert problems(tmp_path, checks, COVERED) == ""
