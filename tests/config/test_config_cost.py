"""What a configuration asks of vaults and Entra, by arithmetic that a reader can repeat."""

from pathlib import Path

import pytest

from exporter.config import cost, load
from exporter.config.cost import monthly, vault_shares

MINUTES = 30 * 24 * 60


@pytest.fixture
def configured(tmp_path):
    def of(targets, modules="", settings="interval: 60s"):
        path = tmp_path / "ekm.yml"
        lines = "".join(f"  - {{vault: contoso, key: k/1, {target}}}\n" for target in targets)
        head = f"global: {{{settings}}}\ncredentials:\n  c: {{type: default}}\n  d: {{type: default}}\nmodules:\n  m: {{{modules}}}\n"
        path.write_text(f"{head}targets:\n{lines}")
        loaded = load(Path(path))
        assert loaded.problems == ()
        return loaded.config

    return of


def numbers(sums):
    return sums.targets, round(sums.requests), round(sums.billable), round(sums.sign_ins)


def test_a_probe_is_one_anonymous_request_and_three_billable_ones(configured):
    assert numbers(monthly(configured(["name: a, credential: c"]))["c"]) == (1, 4 * MINUTES, 3 * MINUTES, MINUTES)


def test_a_read_only_probe_bills_one(configured):
    config = configured(["name: a, credential: c, module: m"], "mode: read_only")
    assert numbers(monthly(config)["c"]) == (1, 2 * MINUTES, MINUTES, MINUTES)


def test_rarer_round_trips_bill_less(configured):
    config = configured(["name: a, credential: c, module: m"], "round_trip_interval: 5m")
    assert numbers(monthly(config)["c"]) == (1, round(2.4 * MINUTES), round(1.4 * MINUTES), MINUTES)


def test_targets_of_one_credential_share_the_sign_in_of_the_shortest_interval(configured):
    config = configured(["name: a, credential: c", "name: b, credential: c, interval: 30s", "name: x, credential: d"])
    found = monthly(config)
    assert round(found["c"].sign_ins) == 2 * MINUTES / 0.9  # jitter lets the next cycle begin a tenth sooner
    assert round(found["d"].sign_ins) == MINUTES


def test_another_way_to_entra_is_another_sign_in(configured):
    config = configured(["name: a, credential: c", "name: b, credential: c, module: m"], "authority_host: https://entra.test")
    assert round(monthly(config)["c"].sign_ins) == 2 * MINUTES


def test_an_older_token_saves_sign_ins(configured):
    config = configured(["name: a, credential: c, module: m"], "token_max_age: 5m")
    assert round(monthly(config)["c"].sign_ins) == MINUTES / 5


def test_the_table_ends_with_the_sum_and_leaves_out_unused_credentials(configured):
    assert cost(configured(["name: a, credential: c", "name: b, credential: c"])).splitlines()[2:5] == [
        "credential  targets  vault requests  billable operations  sign-ins",
        "c                 2         345,600              259,200    48,000",
        "in total          2         345,600              259,200    48,000",
    ]


def test_a_vaults_share_adds_up_over_its_targets_and_weighs_the_operations(configured):
    config = configured(["name: a, credential: c, interval: 10s", "name: b, credential: d, interval: 20s"])
    [share] = vault_shares(config).values()
    assert share.targets == ["a", "b"]
    assert share.ratio == pytest.approx(1.5 * (2 / 4000 + 2 / 500))


def test_a_managed_hsm_takes_more(configured):
    config = configured(["name: a, credential: c, interval: 10s"])
    [plain] = vault_shares(config).values()
    path = config.files[0]
    path.write_text(path.read_text().replace("vault: contoso", "vault: contoso.managedhsm.azure.net"))
    hsm = load(path).config
    [share] = vault_shares(hsm).values()
    assert share.ratio == pytest.approx(2 / 4000 + 2 / 3600)
    assert share.ratio < plain.ratio
