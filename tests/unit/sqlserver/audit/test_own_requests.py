"""What a SQL Server itself requests of the vault, from its reading."""

from dataclasses import replace

import pytest

from exporter.sqlserver.audit import OwnRequests, own_requests
from exporter.sqlserver.proof import server_proofs
from tests.support.sql_readings import a_reading, with_growing_logs


def requests_of(reading):
    (server,) = server_proofs(reading)
    return own_requests(server)


def test_growing_logs_need_the_vault_for_each_new_file():
    # 1 MiB in five minutes for each database, and files of 64 MiB
    assert requests_of(with_growing_logs(a_reading("sales", "stock"))) == OwnRequests(2, pytest.approx(2 * 288 / 64), False)


@pytest.mark.parametrize(("flag", "files"), [(1, 0.0), (0, None)])
def test_trace_flag_spares_the_requests_for_log_files(flag, files):
    reading = a_reading(sections={"flags": [{"flag": 15025, "is_on": flag}]})
    assert requests_of(replace(reading)) == OwnRequests(1, files, bool(flag))
