"""promtool accepts the metrics and the example queries without a remark."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from docs.generators.metrics import EXAMPLES
from exporter.config.settings import Module
from exporter.core.values import Step
from exporter.knowledge.expiry import Source
from tests.support.metric_factories import (
    START,
    a_key,
    a_recorder,
    a_report,
    a_target,
    certificate,
    headers,
    ok,
    probed,
    refused,
    scrape,
    show_reading,
    throttled,
)
from tests.support.sql_readings import a_reading, with_growing_logs

pytestmark = pytest.mark.real
ODD = 'a "quoted" back\\slash\nand ümlaut'


def promtool(*arguments: str, text: bytes = b"") -> str:
    """Return the exit code and the output of the promtool on the PATH. A missing promtool is an error."""
    done = subprocess.run(["promtool", "check", *arguments], input=text, capture_output=True, check=False, timeout=60)  # noqa: S603, S607 - nothing from outside the tests
    return f"{done.returncode} {done.stdout.decode()}{done.stderr.decode()}"


def checked(text: bytes) -> str:
    return promtool("metrics", text=text)


def a_used_recorder():
    recorder = a_recorder(*(a_target(name, labels={"team": ODD}, instances=({"sql_instance": ODD},)) for name in "abc"))
    seen = {"vault": headers(), "endpoint": "e:443", "server_time": START, "certificate": certificate()}
    probed(recorder, a_report("a", steps=[ok(Step.CHALLENGE, **seen)], ready=True, key=a_key(expires=START)))
    probed(recorder, a_report("b", steps=[refused()], ready=False), consecutive_failures=1, next_probe_at=START)
    probed(recorder, a_report("c", steps=[throttled(retry_after_seconds=3.0)], discarded=True), last_success_at=START)
    recorder.credential_expiry_found("sql-prod", Source.CERTIFICATE, START, START)
    show_reading(recorder, with_growing_logs(a_reading(ODD)))
    return recorder


def test_promtool_accepts_a_scrape():
    assert checked(scrape(a_used_recorder())) == "0 "


def test_promtool_accepts_the_response_of_a_probe():
    text = a_used_recorder().render_probe(
        a_target(labels={"team": ODD}), Module(name="default"), a_report(steps=[refused()], key=a_key())
    )
    assert checked(text) == "0 "


def test_every_documented_example_is_promql(tmp_path):
    rules = [{"record": "example", "expr": expression, "labels": {"of": name}} for name, expression in EXAMPLES.items()]
    (tmp_path / "examples.yml").write_text(yaml.safe_dump({"groups": [{"name": "examples", "rules": rules}]}))
    output = promtool("rules", str(tmp_path / "examples.yml"))
    assert output.startswith("0 ")
    assert f"{len(EXAMPLES)} rules found" in output


def test_promtool_refuses_a_bad_metric():
    assert checked(b"# TYPE ekm_bad counter\nekm_bad 1\n") != "0 "
