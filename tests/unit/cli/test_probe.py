"""The output of `ekm-exporter probe`: auxiliary probes and expiries as text and JSON, through the real SDK."""

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from exporter.cli import probe
from exporter.cli.probe import probe_once
from exporter.config.settings import ExpectPath
from exporter.core.values import CredentialKind, Step, VaultHeaders
from exporter.knowledge.expiry import CredentialExpiry, Source
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import NOT_TESTED, AuxiliaryKind
from exporter.presentation.text import target_text
from exporter.simulator.simulator import Simulator
from exporter.state.history import History
from exporter.state.record import TargetRecord
from tests.support import auxiliary_simulated
from tests.support.auxiliary_factories import OLD, PINNED, TARGET
from tests.support.values import replace
from tests.support.web_factories import (
    DR,
    STAGED,
    STARTED,
    auxiliary_result,
    fully_declared,
    key,
    pending_auxiliary,
    refused_auxiliary,
)
from tests.support.web_factories import OLD as KEPT

NOW = STARTED + 60
FIRST_LINES = f"""
Auxiliary probes
  staged credential {STAGED}
    usable      no
    because     step token failed with 3303 ErrorGetTokenBadCredentials, reason
                secret_expired
    do          Do not give it to SQL Server yet.
"""
LAST_LINES = f"""\
  retained version ContosoRSAKey0/{KEPT}
    usable      yes
  newest version of ContosoRSAKey0
    usable      yes
  recovery vault {DR}
    usable      unknown
    because     not probed yet

Key
  key           ContosoRSAKey0
  version       cgacf4f763ar42ffb0a1gca546aygd87
  type          RSA, 2048 bits
  enabled       yes
  operations    wrapKey, unwrapKey
  expires       2027-01-15T08:00:00.000Z
  newest version {"f" * 32} (a rotation is pending: SQL Server uses the pinned version. Delete and disable neither; `ekm-exporter docs key-rotation` has the steps)

Path
  path          public
  as expected   no: expect_path is private

Credential expiry
  by-vm          unknown
    note        no source of its expiry is configured
  sql-prod       2026-01-03T03:05:05.678Z, in 1 day (source graph)
    note        Graph: HTTP 403; last success at 2026-01-02T03:04:05.678Z

warning         staged credential refused
warning         rotation pending
warning         unexpected path
"""


def test_target_text_shows_auxiliary_probes_and_expiries():
    record = TargetRecord(fully_declared(), History(1), key=key(), vault=VaultHeaders(connection="public"))
    for each in (refused_auxiliary(AuxiliaryKind.NEXT), auxiliary_result(AuxiliaryKind.RETAINED), pending_auxiliary()):
        record.add_auxiliary(each)
    graph = CredentialExpiry(
        credential="sql-prod", source=Source.GRAPH, expires_at=NOW + 86400, looked_up_at=STARTED, failure="Graph: HTTP 403"
    )

    text = target_text(record.target, record, {"by-vm": (), "sql-prod": (graph,)}, ExpectPath.PRIVATE, now=NOW, auxiliary=True)

    assert text.startswith(FIRST_LINES)
    assert text.endswith(LAST_LINES)
    assert re.findall(r"^    do ", text, re.MULTILINE)


def test_deleted_key_is_shown_with_the_recovery_command():
    record = TargetRecord(fully_declared(), History(1), purge_at=STARTED)

    text = target_text(record.target, record, {}, ExpectPath.ANY, now=NOW, auxiliary=True)

    assert "recover it before then: `az keyvault key recover --vault-name contoso-prod --name ContosoRSAKey0`" in text
    assert text.endswith("\nwarning         key deleted\n")


@pytest.fixture
async def simulator():
    made = Simulator(auxiliary_simulated.environment())
    await made.start()
    yield made
    await made.stop()


async def probe_of(simulator, folder, *, target=TARGET, credential=None, **kinds):
    config = auxiliary_simulated.configuration(simulator, folder, target=target)
    changed = {name: replace(config.credentials[name], kind=kind) for name, kind in kinds.items()}
    config = replace(config, credentials=config.credentials | changed)
    result = await probe_once(config, config.targets["t"], credential)
    text = probe.as_text(config, result, now=time.time())
    shape = json.loads(json.dumps(probe.as_json(config, result, now=time.time())))
    return result, text, shape


async def test_every_configured_auxiliary_probe_runs_once(simulator, tmp_path):
    result, text, shape = await probe_of(simulator, tmp_path)

    assert result.report.success
    assert [(each["what"], each["usable"]) for each in shape["auxiliary_probes"]] == [
        ("next", True), ("retained", True), ("retained", True), ("newest", True), ("recovery", True),
    ]  # fmt: skip
    assert text.count("usable      yes") == 5
    assert "warning" not in text
    assert (shape["key_facts"]["version"], shape["newest_version"], shape["rotation_pending"]) == (PINNED, PINNED, False)
    assert shape["recovery_last_success"] is not None
    assert (shape["credential"], shape["vantage"], shape["not_tested"]) == ("now", "sql_host", NOT_TESTED)
    assert shape["verdict"] == "vault side ready, seen from the SQL host"


async def test_failed_auxiliary_probe_is_a_warning_and_no_failure(simulator, tmp_path):
    (tmp_path / "staged").write_text("not-the-secret-of-staged\n")
    result, text, shape = await probe_of(simulator, tmp_path)

    assert (result.report.success, shape["success"], shape["code"]) == (True, True, None)
    staged = shape["auxiliary_probes"][0]
    assert (staged["usable"], staged["code"], staged["reason"]) == (False, 3303, "secret_wrong")
    assert "\nwarning         staged credential refused\n" in text
    assert "usable      no\n    because     step token failed with 3303" in text
    assert "not-the-secret" not in text + json.dumps(shape)


async def test_other_credential_is_probed_without_auxiliary_probes(simulator, tmp_path):
    (tmp_path / "now").write_text("not-the-secret-of-now\n")
    result, text, shape = await probe_of(simulator, tmp_path, credential="staged")

    assert result.report.success
    assert text.startswith("probed with credential staged, without auxiliary probes\n")
    assert "\ncredential      staged\n" in text
    assert "Auxiliary probes" not in text
    assert (shape["credential"], shape["auxiliary_probes"]) == ("staged", [])
    assert set(result.expiries) == {"staged"}
    assert {host for host, _, _ in simulator.requests} & {auxiliary_simulated.ARCHIVE, auxiliary_simulated.RECOVERY} == set()


async def test_identity_without_expiry_has_no_expiry_line(simulator, tmp_path):
    result, _, _ = await probe_of(simulator, tmp_path, old=CredentialKind.WORKLOAD_IDENTITY)

    assert set(result.expiries) == {"now", "staged", "dr"}


async def test_unreadable_key_leaves_the_recovery_vault_untested(simulator, tmp_path):
    lost = replace(TARGET, key_version="9" * 32)
    result, text, shape = await probe_of(simulator, tmp_path, target=lost)

    assert result.report.first_failure.step is Step.GET_KEY
    assert result.report.first_failure.reason is Reason.KEY_NOT_FOUND
    assert "because     the key that the recovery vault must hold is not read yet" in text
    assert (shape["key_facts"], shape["newest_version"], shape["rotation_pending"]) == (None, PINNED, True)
    assert f"retained version Key0/{OLD}\n    usable      yes" in text


async def test_credential_expiry_is_looked_up_once(simulator, tmp_path):
    config = auxiliary_simulated.configuration(simulator, tmp_path)
    declared = replace(config.credentials["now"], expires_on=datetime.now(UTC).date() + timedelta(days=40))
    config = replace(config, credentials={**config.credentials, "now": declared})
    result = await probe_once(config, config.targets["t"], None)

    text, shape = probe.as_text(config, result, now=time.time()), probe.as_json(config, result, now=time.time())
    assert [(each["credential"], each["source"]) for each in shape["credential_expiries"]] == [("now", "declared")]
    assert re.search(r"^  now +\d{4}-\d\d-\d\dT00:00:00.000Z, in 39 days \(source declared\)$", text, re.MULTILINE)
    assert re.search(r"^  staged +unknown$", text, re.MULTILINE)
