"""A report that is kept holds no secret of this process; everything else of it stays, as the same objects."""

from dataclasses import fields, replace

import pytest

from exporter.core.secrets import MARK, remember
from exporter.core.values import Facts, Fault, KeyFacts, Outcome, Readiness, Step
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.knowledge.verdict import redacted, redacted_facts, redacted_key

SECRET = "Marked0secret8Q9w0123456789"
FACTS = Facts(
    fault=Fault.HTTP_STATUS, service_code="Forbidden", inner_code="ForbiddenByRbac", aadsts=7000215, detail="not allowed"
)
KEY = KeyFacts(
    name="Key0",
    version="0123456789abcdef",
    kid="https://contoso.vault.azure.net/keys/Key0/0123456789abcdef",
    kty="RSA",
    size_bits=2048,
    modulus=b"\xc0" * 256,
    exponent=b"\1\0\1",
    key_ops=("wrapKey", "unwrapKey"),
)
REPORT = ProbeReport(
    target="t",
    started_at=1.0,
    duration=0.1,
    steps=(
        StepResult(step=Step.CHALLENGE, outcome=Outcome.FAILED, facts=FACTS),
        StepResult(step=Step.TOKEN, outcome=Outcome.SKIPPED),
    ),
    readiness=Readiness(ready=None, why="no_probe_yet"),
)


# Texts that no server sends, and the id that its parser has checked already.
OWN_TEXTS = {
    "exception",
    "raised_at",
    "endpoint",
    "client_id",
    "secret_file",
    "proxy",
    "key_state",
    "request_id",
    "local_address",
}


@pytest.fixture(autouse=True)
def secret():
    remember(SECRET)
    remember("70002150")


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("service_code", SECRET, None),
        ("aadsts", 70002150, None),
        ("service_code", "0a1b2c3d-0000-4000-8000-0123456789ab", None),
        ("inner_code", "203.0.113.7", None),
        ("service_code", "A" * 40, None),
        ("client_address", SECRET, None),
        ("object_id", SECRET, None),
        ("refused_issuer", SECRET, None),
        ("correlation_id", SECRET, None),
        ("detail", f"sent {SECRET} now", f"sent {MARK} now"),
    ],
)
def test_facts_lose_a_secret_alone(field, sent, kept):
    assert redacted_facts(replace(FACTS, **{field: sent})) == replace(FACTS, **{field: kept})


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("version", SECRET, MARK),
        ("kty", SECRET, MARK),
        ("key_ops", ("wrapKey", SECRET), ("wrapKey",)),
        ("modulus", b"\xff" * 50 + SECRET.encode(), b""),
        ("exponent", SECRET.encode(), b""),
    ],
)
def test_key_loses_a_secret_alone(field, sent, kept):
    kid = f"https://contoso.vault.azure.net/keys/Key0/{sent}" if field == "version" else KEY.kid
    clean = redacted_key(replace(KEY, **{field: sent, "kid": kid}))
    assert clean == replace(KEY, **{field: kept, "kid": MARK if field == "version" else KEY.kid})


def test_every_text_of_a_server_in_the_facts_is_redacted():
    texts = {field.name for field in fields(Facts) if "str" in str(field.type).split(" | ")}
    assert {name for name in texts if getattr(redacted_facts(Facts(**{name: SECRET})), name) == SECRET} == OWN_TEXTS


def test_report_loses_secrets_of_steps_key_and_tenant():
    facts = replace(FACTS, detail=SECRET)
    report = replace(REPORT, tenant=SECRET, key=replace(KEY, kid=SECRET), steps=(replace(REPORT.steps[0], facts=facts),))
    kept = redacted(report)
    assert (kept.tenant, kept.key.kid, kept.steps[0].facts.detail) == (MARK, MARK, MARK)
    assert SECRET not in repr(kept)


def test_report_without_a_secret_stays_as_it_is():
    report = replace(REPORT, tenant="contoso.onmicrosoft.com", key=KEY)
    assert redacted(report) is report
    assert redacted(REPORT) is REPORT
    assert redacted_facts(FACTS) is FACTS
