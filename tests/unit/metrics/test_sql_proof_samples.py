"""The series of what SQL Server proved itself, and of the logs of its databases."""

from __future__ import annotations

import pytest

from exporter.metrics.sql_server import log_samples, proof_samples
from exporter.metrics.sql_server_families import MOST
from exporter.sqlserver.logs import LogSpace
from exporter.sqlserver.proof import KeyProof, ProofSource

ALTERED, PROVEN = 1_800_000_000.0, 1_800_086_400.0


def a_proof(**changes):
    written = {
        "thumbprint": "0x2C56",
        "key_name": "K",
        "login": "tde_login",
        "credential": "tde_cred",
        "credential_missing": False,
        "provider_disabled": False,
        "candidate": "",
        "altered_at": ALTERED,
        "databases": ("hr", "sales"),
        "proven_from": PROVEN,
        "proven_at": PROVEN,
        "source": ProofSource.LOG_BACKUP,
        "database": "sales",
    }
    return KeyProof(**(written | changes))


def of_proof(name, **changes):
    """Return the samples of a family: {label values: value}."""
    samples = proof_samples([a_proof(**changes)])[f"mssql_ekm_{name}"]
    return {tuple(str(value) for _, value in labels): value for labels, value in samples}


def unproven(**changes):
    return {"proven_at": None, "source": None, "database": ""} | changes


def test_proof_names_key_source_and_database():
    assert of_proof("proven_timestamp_seconds") == {("K", "0x2C56", "log_backup", "sales"): PROVEN}
    assert of_proof("proven_timestamp_seconds", **unproven()) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {("K", "0x2C56"): 0}),
        ({"altered_at": None}, {("K", "0x2C56"): 0}),
        (unproven(), {("K", "0x2C56"): 1}),
        (unproven(altered_at=None), {}),
        ({"altered_at": None, "credential_missing": True}, {("K", "0x2C56"): 1}),
    ],
)
def test_proof_is_due_until_sql_server_proves_the_key(changes, expected):
    assert of_proof("proof_due", **changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"credential": "", "credential_missing": True}, {("K", "0x2C56", "tde_login"): 1}),
        ({"credential": "", "credential_missing": True, "login": ""}, {("K", "0x2C56", ""): 1}),
        ({"credential": ""}, {}),
    ],
)
def test_key_lacks_a_credential_also_if_its_login_is_unknown(changes, expected):
    assert of_proof("key_without_credential", **changes) == expected


def test_keys_above_the_limit_have_no_proofs():
    values = proof_samples([a_proof(key_name=f"k{number:04}") for number in reversed(range(MOST + 2))])
    names = [dict(labels)["key_name"] for labels, _ in values["mssql_ekm_proof_due"]]
    assert names == [f"k{number:04}" for number in range(MOST)]


def a_log(**changes):
    written = {"database": "sales", "used_bytes": 1e6, "free_bytes": 2e6, "rate": 10.0, "full_in": 2e5, "next_file_in": 60.0}
    return LogSpace(**(written | changes))


def of_log(**changes):
    """Return the samples of a log: {family: value}."""
    values = log_samples([a_log(**changes)], {"sales"})
    return {name.removeprefix("mssql_ekm_log_"): value for name, samples in values.items() for _, value in samples}


def test_log_shows_used_and_free_space_and_time():
    assert of_log() == {"used_bytes": 1e6, "free_bytes": 2e6, "full_seconds": 2e5}
    assert log_samples([a_log(database="a\nb")], {"a?b"})["mssql_ekm_log_used_bytes"] == [((("database", "a?b"),), 1e6)]


def test_unknown_space_and_time_have_no_series():
    assert of_log(free_bytes=None, full_in=None) == {"used_bytes": 1e6}
