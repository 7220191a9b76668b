"""The object id of a refused principal, from a vault's sentence or a token."""

import base64
import json

import pytest

from exporter.core.values import Facts, Outcome, Step
from exporter.knowledge.answers import object_id_in, object_id_of_token, with_object_ids
from exporter.knowledge.report import StepResult

OID = "0a1b2c3d-1111-2222-3333-444455556666"


def token(**claims):
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        (f"Caller: appid=66666666-7777-8888-9999-000000000000;oid={OID.upper()};iss=https://sts.windows.net/t/", OID),
        (f"Caller: name=x;oid={OID}", OID),
        (f"oid={OID}-and-more", None),
        ("oid=<script>", None),
        (f"appid={OID}", None),
        (" " * 5000 + f"oid={OID}", None),
        ("", None),
    ],
)
def test_vault_names_the_object_id_of_its_caller(sentence, found):
    assert object_id_in(sentence) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (token(oid=OID), OID),
        (token(sub=OID), None),
        (token(oid=7), None),
        (token(oid=f"{OID}x"), None),
        ("opaque", None),
        ("a.!.c", None),
    ],
)
def test_token_has_the_object_id_of_its_principal(text, found):
    assert object_id_of_token(text) == found


def test_only_refused_steps_get_the_object_id_of_the_token():
    statuses = {Step.CHALLENGE: 401, Step.GET_KEY: 403, Step.WRAP_KEY: 403}
    results = {
        step: StepResult(
            step=step, outcome=Outcome.FAILED, facts=Facts(status=status, object_id="named" if step is Step.WRAP_KEY else None)
        )
        for step, status in statuses.items()
    } | {Step.UNWRAP_KEY: StepResult(step=Step.UNWRAP_KEY, outcome=Outcome.SKIPPED)}
    found = with_object_ids(results, token(oid=OID))
    assert {step: each.facts.object_id for step, each in found.items()} == {Step.GET_KEY: OID}
