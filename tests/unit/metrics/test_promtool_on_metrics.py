"""promtool, which knows Prometheus' own rules, finds nothing to say."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from docs.generators.metrics import EXAMPLES
from exporter.config.model import Module
from exporter.core.credential_expiry import Source
from exporter.core.model import Step
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
    throttled,
)

pytestmark = pytest.mark.real
ODD = 'a "quoted" back\\slash\nand ümlaut'


def promtool(*arguments: str, text: bytes = b"") -> str:
    """Its exit code and all it says; found on the PATH, as a user would. A promtool that is missing is an error."""
    done = subprocess.run(["promtool", "check", *arguments], input=text, capture_output=True, check=False, timeout=60)  # noqa: S603, S607 - nothing from outside the tests
    return f"{done.returncode} {done.stdout.decode()}{done.stderr.decode()}"


def checked(text: bytes) -> str:
    return promtool("metrics", text=text)


def lived():
    recorder = a_recorder(*(a_target(name, labels={"team": ODD}, instances=({"sql_instance": ODD},)) for name in "abc"))
    seen = {"vault": headers(), "endpoint": "e:443", "server_time": START, "certificate": certificate()}
    probed(recorder, a_report("a", steps=[ok(Step.CHALLENGE, **seen)], ready=True, key=a_key(expires=START)))
    probed(recorder, a_report("b", steps=[refused()], ready=False), consecutive_failures=1, next_probe_at=START)
    probed(recorder, a_report("c", steps=[throttled(retry_after_seconds=3.0)], tainted=True), last_success_at=START)
    recorder.credential_expiry_found("sql-prod", Source.CERTIFICATE, START, START)
    return recorder


def test_a_scrape_is_clean():
    assert checked(scrape(lived())) == "0 "


def test_the_answer_to_a_requested_probe_is_clean():
    text = lived().render_probe(a_target(labels={"team": ODD}), Module(name="default"), a_report(steps=[refused()], key=a_key()))

    assert checked(text) == "0 "


def test_every_example_of_the_documentation_is_promql(tmp_path):
    rules = [{"record": "example", "expr": expression, "labels": {"of": name}} for name, expression in EXAMPLES.items()]
    (tmp_path / "examples.yml").write_text(yaml.safe_dump({"groups": [{"name": "examples", "rules": rules}]}))

    said = promtool("rules", str(tmp_path / "examples.yml"))

    assert said.startswith("0 ")
    assert f"{len(EXAMPLES)} rules found" in said


def test_the_judge_is_awake():
    assert checked(b"# TYPE ekm_bad counter\nekm_bad 1\n") != "0 "
