"""A failing receiver of reports is counted and does not affect others."""

import logging

import pytest

from exporter.app.service import Service
from exporter.app.web_endpoint import RunOptions
from exporter.core.values import Facts, Fault, Outcome, Readiness, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.state.history import History
from exporter.state.record import TargetRecord
from exporter.web.options import web_options
from tests.unit.probing.test_prober import CONFIG, TARGET

STEP = StepResult(
    step=Step.TOKEN,
    outcome=Outcome.FAILED,
    code=3303,
    reason=Reason.SECRET_WRONG,
    facts=Facts(fault=Fault.HTTP_STATUS, status=401),
)
REPORT = ProbeReport(
    target="a", started_at=1_800_000_000.0, duration=0.1, steps=(STEP,), readiness=Readiness(ready=False, why="not_ready")
)


@pytest.fixture
async def service():
    made = Service(CONFIG, RunOptions(listen=(), web=web_options()))
    made.recorder.add_target(TARGET, CONFIG.modules["default"], TargetRecord(TARGET, History(0)), now=0.0)
    yield made
    await made._prober.aclose()


async def scraped(service):
    return b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()


@pytest.mark.parametrize(
    ("part", "method"),
    [("_store", "record"), ("recorder", "record"), ("_log", "record"), ("_auxiliary_runner", "start_due")],
)
async def test_failing_receiver_keeps_no_report_from_others(service, monkeypatch, caplog, *, part, method):
    def fails(*_args, **_kwargs):
        raise KeyError("S3CRET-MARK")

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(getattr(service, part), method, fails)
    service._add_report(TARGET, REPORT)
    text = await scraped(service)
    assert ('ekm_probe_success{target="a",vault="contoso.vault.azure.net"} 0' in text) is (part != "recorder")
    record = service.record_of("a")
    assert (record is not None and record.last is REPORT) is (part != "_store")
    assert ("probe failed" in caplog.messages) is (part != "_log")
    assert "ekm_exporter_internal_errors_total 1" in text
    assert "internal error" in caplog.messages
