"""The monthly cost of configurations, with arithmetic that a reader can repeat."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from exporter.config.cost import STATEMENTS, streams
from exporter.config.cost import monthly as monthly_at
from exporter.config.cost import monthly_cost as table
from exporter.config.cost import vault_shares as vault_shares_at
from exporter.config.load import load_config
from exporter.core.limits import LOOKUP_SECONDS
from exporter.core.values import KeyFacts, Mode, Step, operations_of
from exporter.knowledge.expiry import Source
from exporter.probing.auxiliary import auxiliary_probes
from exporter.probing.expiry import INTERVALS
from exporter.sqlserver.script import PROOF, batches

GOOD = Path(__file__).parent / "good"


TODAY = date(2026, 6, 1)


MINUTES = 30 * 24 * 60


FIVES = MINUTES / 5  # auxiliary probes at the default auxiliary_interval


HOURS = MINUTES / 60


@pytest.fixture
def configured(tmp_path):
    def of(targets, modules="", settings="interval: 60s", key="k", credential="type: default"):
        path = tmp_path / "ekm.yml"
        lines = "".join(f"  - {{vault: contoso, key: {key}, {target}}}\n" for target in targets)
        credentials = "".join(f"  {name}: {{{credential if name == 'c' else 'type: default'}}}\n" for name in "cdgv")
        path.write_text(f"global: {{{settings}}}\ncredentials:\n{credentials}modules:\n  m: {{{modules}}}\ntargets:\n{lines}")
        loaded = load_config(Path(path))
        assert loaded.problems == ()
        return loaded.config

    return of


def monthly(config):
    return monthly_at(config, TODAY)


def vault_shares(config):
    return vault_shares_at(config, TODAY)


def numbers(sums):
    return len(sums.targets), round(sums.requests), round(sums.billable), round(sums.sign_ins)


OBSOLETE = "{key: k/4, credential: d, until: 2026-05-31}"  # costs nothing


READS = "module: m, next_credential: d, recovery_vault: contoso-dr, retained_versions: [{key: k/2}]"


@pytest.mark.parametrize(
    ("more_keys", "more", "expected"),
    [
        ("", {}, {"c": (4 * MINUTES, 3 * MINUTES, MINUTES)}),
        ("module: m", {"modules": "mode: read_only"}, {"c": (2 * MINUTES, MINUTES, MINUTES)}),
        ("module: m", {"modules": "round_trip_interval: 5m"}, {"c": (2.4 * MINUTES, 1.4 * MINUTES, MINUTES)}),
        ("next_credential: d", {}, {"c": (4 * MINUTES, 3 * MINUTES, MINUTES), "d": (4 * FIVES, 3 * FIVES, FIVES)}),
        (
            f"retained_versions: [{{key: k/2}}, {{key: k/3, credential: d, until: 2026-06-01}}, {OBSOLETE}]",
            {},
            {"c": (4 * MINUTES + 3 * FIVES, 3 * MINUTES + 2 * FIVES, MINUTES), "d": (3 * FIVES, 2 * FIVES, FIVES)},
        ),
        ("retained_versions: [{key: k/2, credential: d}, {key: k/3, credential: d}]", {}, {"d": (6 * FIVES, 4 * FIVES, FIVES)}),
        ("recovery_vault: contoso-dr, recovery_credential: d", {}, {"d": (3 * FIVES, 2 * FIVES, FIVES)}),
        (
            READS,
            {"modules": "mode: read_only", "key": "k/1"},
            {"c": (2 * MINUTES + 6 * FIVES, MINUTES + 3 * FIVES, MINUTES), "d": (2 * FIVES, FIVES, FIVES)},
        ),
    ],
    ids=["full", "read_only", "rarer round trips", "staged", "retained", "one token", "recovery", "auxiliary read_only"],
)
def test_requests_are_counted_by_credential(more_keys, more, expected, configured):
    found = monthly(configured([f"name: a, credential: c, {more_keys}"], **more))
    assert {name: numbers(found[name]) for name in expected} == {name: (1, *map(round, each)) for name, each in expected.items()}


def test_targets_share_the_sign_in_of_the_shortest_interval(configured):
    config = configured(["name: a, credential: c", "name: b, credential: c, interval: 30s", "name: x, credential: d"])
    found = monthly(config)
    assert round(found["c"].sign_ins) == round(2 * MINUTES / 0.9)  # jitter lets the next interval begin a tenth sooner
    assert round(found["d"].sign_ins) == MINUTES


def test_other_route_to_entra_needs_its_own_sign_in(configured):
    config = configured(["name: a, credential: c", "name: b, credential: c, module: m"], "authority_host: https://entra.test")
    assert round(monthly(config)["c"].sign_ins) == 2 * MINUTES


@pytest.mark.parametrize(
    ("module", "sign_ins"),
    [
        ('connect_to: {"login.microsoftonline.com:443": "10.0.0.1:443"}', 2 * MINUTES),
        ('connect_to: {"contoso.vault.azure.net:443": "10.0.0.1:443"}', MINUTES / 0.9),
    ],
    ids=["to Entra", "to the vault"],
)
def test_other_route_to_a_vault_needs_no_sign_in(module, sign_ins, configured):
    config = configured(["name: a, credential: c", "name: b, credential: c, module: m"], module)
    assert round(monthly(config)["c"].sign_ins) == round(sign_ins)


def test_reused_token_saves_sign_ins(configured):
    config = configured(["name: a, credential: c, module: m"], "token_max_age: 5m")
    assert round(monthly(config)["c"].sign_ins) == MINUTES / 5


def test_newest_version_costs_a_challenge_and_a_get(configured):
    sums = monthly(configured(["name: a, credential: c"], key="k/1"))["c"]
    assert numbers(sums) == (1, 4 * MINUTES + 2 * FIVES, 3 * MINUTES + FIVES, MINUTES)
    assert sums.log_rows == pytest.approx(sums.requests)


@pytest.mark.parametrize(
    ("auxiliary_interval", "every"),
    [("0s", 1), ("30s", 1), ("1m", 1), ("10m", 10)],
    ids=["with every probe", "sooner", "alike", "rarer"],
)
def test_auxiliary_probes_are_never_more_frequent_than_probes(auxiliary_interval, every, configured):
    config = configured(["name: a, credential: c, module: m"], f"auxiliary_interval: {auxiliary_interval}", key="k/1")
    assert round(monthly(config)["c"].requests) == 4 * MINUTES + 2 * MINUTES / every


def test_auxiliary_sign_ins_are_at_most_one_per_interval(configured):
    found = monthly(configured(["name: a, credential: c", "name: b, credential: d, next_credential: c"]))
    assert round(found["c"].sign_ins) == round(min(MINUTES + FIVES, MINUTES / 0.9))
    many = [f"name: t{n}, credential: d, next_credential: c" for n in range(9)]
    assert round(monthly(configured(many))["c"].sign_ins) == MINUTES / 0.9


SECRET = "type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_env: EKM_TEST_PLAIN"


def test_graph_lookup_is_one_hourly_request_without_vault_log(configured):
    sums = monthly(configured(["name: a, credential: c"], credential=f"{SECRET}, graph_credential: g"))["g"]
    assert numbers(sums) == (0, HOURS, 0, HOURS)
    assert sums.log_rows == 0


@pytest.mark.parametrize(
    ("more_keys", "lookup", "expected"),
    [
        ("", "c", (4 * MINUTES + 2 * HOURS, 3 * MINUTES + HOURS, MINUTES + HOURS)),
        ("key_vault_credential: v", "v", (2 * HOURS, HOURS, HOURS)),
        ("graph_credential: g", "g", (3 * HOURS, HOURS, 2 * HOURS)),  # Graph as well
        ("graph_credential: g, key_vault_credential: v", "v", (2 * HOURS, HOURS, HOURS)),
    ],
)
def test_secret_dates_cost_an_hourly_challenge_and_list(more_keys, lookup, expected, configured):
    secret = f"{SECRET}, key_vault_secret: 'https://ops.vault.azure.net/secrets/c', {more_keys}"
    assert numbers(monthly(configured(["name: a, credential: c"], credential=secret))[lookup])[1:] == expected


def test_expiry_lookups_are_as_frequent_as_counted():
    assert INTERVALS[Source.GRAPH].answered == INTERVALS[Source.KEY_VAULT].answered == LOOKUP_SECONDS


def test_counted_auxiliary_probes_are_those_that_run():
    config = load_config(GOOD / "everything.yml", today=TODAY).config
    key = KeyFacts(name="k", version="1", kid="", kty="RSA", size_bits=2048, modulus=b"", exponent=b"")
    made, counted = Counter(), Counter()
    for target in config.targets.values():
        for plan in auxiliary_probes(config, target, key, TODAY):
            whole = operations_of(plan.request.module.mode)
            steps = {step for step in whole if plan.request.round_trip or step not in (Step.WRAP_KEY, Step.UNWRAP_KEY)}
            steps -= set() if plan.request.wrap else {Step.WRAP_KEY}
            made[target.name, plan.request.credential.name, plan.request.target.vault, frozenset(steps)] += 1
    for stream in streams(config, TODAY):
        steps = frozenset(stream.operations)
        counted[stream.target.name, stream.credential, stream.vault, steps] += stream.auxiliary
    assert made == +counted
    assert {Mode.FULL, Mode.READ_ONLY, Mode.CANARY} == {module.mode for module in config.modules.values()}


def test_operations_of_a_managed_hsm_are_not_billable(configured):
    config = configured(["name: a, credential: c, recovery_vault: contoso.managedhsm.azure.net, recovery_credential: d"])
    sums = monthly(config)["d"]
    assert (round(sums.requests), sums.billable) == (3 * FIVES, 0)


def test_table_ends_with_the_sum_without_unused_credentials(configured):
    lines = table(configured(["name: a, credential: c, next_credential: d", "name: b, credential: c"]), TODAY).splitlines()
    assert lines[2:6] == [
        "credential  targets  requests  billable operations  vault log rows  sign-ins",
        "c                 2   345,600              259,200         345,600    48,000",
        "d                 1    34,560               25,920          34,560     8,640",
        "total             2   380,160              285,120         380,160    56,640",
    ]


def test_share_of_a_vault_sums_targets_and_weighs_operations(configured):
    config = configured(["name: a, credential: c, interval: 10s", "name: b, credential: d, interval: 20s"])
    [share] = vault_shares(config).values()
    assert share.targets == ["a", "b"]
    assert share.ratio == pytest.approx(1.5 * (1 / 4000 + 3 / 500))


def test_auxiliary_probes_count_for_their_own_vault(configured):
    recovery = "recovery_vault: contoso-dr, retained_versions: [{key: k/2, vault: contoso-old}, {key: k/3}]"
    shares = vault_shares(configured([f"name: a, credential: c, {recovery}"], key="k/1"))
    reads, unwrap = 1 / 4000 + 1 / 500, 1 / 500
    assert shares["contoso-dr.vault.azure.net"].ratio == pytest.approx((reads + unwrap) / 30)
    assert shares["contoso-old.vault.azure.net"].ratio == pytest.approx((reads + unwrap) / 30)
    main = shares["contoso.vault.azure.net"]
    assert main.ratio == pytest.approx((reads + 2 * unwrap) / 6 + reads / 30 + (reads + unwrap) / 30)
    assert main.targets == ["a"]


def test_managed_hsm_has_a_higher_limit(configured):
    config = configured(["name: a, credential: c, interval: 10s"])
    [plain] = vault_shares(config).values()
    path = config.files[0]
    path.write_text(path.read_text().replace("vault: contoso", "vault: contoso.managedhsm.azure.net"))
    hsm = load_config(path).config
    [share] = vault_shares(hsm).values()
    assert share.ratio == pytest.approx(2 / 4000 + 2 / 3600)
    assert share.ratio < plain.ratio


@pytest.mark.parametrize(
    ("servers", "interval", "sign_ins"), [(1, "10m", 4_320), (2, "10m", 8_640), (40, "10m", 8_640), (3, "1h", 2_160)]
)
def test_readings_of_sql_servers_are_counted(servers, interval, sign_ins, tmp_path, monkeypatch):
    monkeypatch.setenv("EKM_SQL", "correct-horse")
    path, entries = (
        tmp_path / "ekm.yml",
        "".join(f"  - {{address: n{number}, entra_credential: s}}\n" for number in range(servers)),
    )
    path.write_text(
        f"global: {{sql_interval: {interval}}}\ncredentials: {{c: {{type: default}}, s: {{type: managed_identity}}}}\n"
        f"targets: [{{name: a, vault: contoso, key: k, credential: c}}]\nsql_servers:\n{entries}"
        "  - {address: other, user: ekm, password_env: EKM_SQL}\n"
    )
    config = load_config(path).config
    assert numbers(monthly(config)["s"]) == (0, 0, 0, sign_ins)
    readings = (servers + 1) * MINUTES // {"10m": 10, "1h": 60}[interval]
    shown = " ".join(table(config, TODAY).split())
    assert (
        f"{servers + 1} SQL Servers, each read every {interval}: {readings // (servers + 1):,} readings of each, {readings:,} in all"
        in shown
    )
    assert f"with {readings * STATEMENTS:,} statements" in shown


def test_statements_of_a_reading_are_those_of_the_scripts():
    assert 1 + len(batches()) + len(batches(PROOF)) == STATEMENTS


def test_cost_without_sql_servers_names_none(configured):
    assert "SQL Server" not in table(configured(["name: a, credential: c"]), TODAY)
