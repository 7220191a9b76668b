"""The exact plain-text transcript."""

from exporter.core.values import Step, Vantage
from exporter.knowledge.reasons import Reason
from exporter.presentation.text import transcript
from tests.support.web_factories import bad, good, target

FAILED = """\
target          contoso-key0
SQL Servers     SQLPRD01 (ag AG7), SQLPRD02
vault           contoso-prod.vault.azure.net
key             ContosoRSAKey0/cgacf4f763ar42ffb0a1gca546aygd87
credential      sql-prod
started         2026-01-02T03:04:05.678Z
took            300.0 ms
result          failed
verdict         vault side not ready, seen from the SQL host
not tested      the secret inside SQL Server, the service account's proxy, Windows' TLS, registry and DLL

challenge       ok       20.0 ms
  endpoint      contoso:443
  phases        dns 1.0 ms  wait 10.0 ms

token           ok       20.0 ms
  endpoint      contoso:443
  phases        dns 1.0 ms  wait 10.0 ms

get_key         failed   200.0 ms
  code          3077 (3113 on connector 1.0.5.0) ErrorHttpOperationForbidden
  reason        forbidden_rbac
  HTTP status   403
  service code  Forbidden
  inner code    ForbiddenByRbac
  retry after   7.000 s
  request id    r-1
  endpoint      contoso:443
  phase reached transfer
  detail        caller <id> may not
  phases        dns 1.0 ms  wait 10.0 ms

wrap_key        skipped

unwrap_key      skipped
"""


def text_of(**failure):
    return transcript(target(), bad(**failure), vantage=Vantage.SQL_HOST)


def test_a_failed_probe_has_its_steps_and_then_actions():
    text = text_of(
        step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403, service_code="Forbidden", aadsts=None,
        inner_code="ForbiddenByRbac", retry_after_seconds=7.0, detail="caller <id> may not",
    )  # fmt: skip
    assert text.startswith(FAILED)
    advice = text[len(FAILED) :].splitlines()
    assert advice[1] == "code            3077 (3113 on connector 1.0.5.0) ErrorHttpOperationForbidden"
    labels = [line[:15].strip() for line in advice[2:] if line[:15].strip()]
    assert list(dict.fromkeys(labels)) == ["meaning", "effect", "cause", "do", "owner"]
    assert max(len(line) for line in advice if "`" not in line) <= 80
    assert "                `ekm-exporter probe contoso-key0 --config.file FILE`." in advice
    assert "TARGET" not in text


def test_observed_cause_stands_alone_before_the_actions():
    text = text_of(step=Step.TOKEN, code=3303, reason=Reason.SECRET_EXPIRED, status=401)
    assert text.index("\ncause           The client secret has expired.") < text.index("\ndo ")
    assert "likely cause" not in text


def test_failed_probe_states_what_fails_now_and_later():
    text = " ".join(text_of(step=Step.UNWRAP_KEY, code=3077, reason=Reason.FORBIDDEN_POLICY, status=403).split())
    assert "effect Now: restores and DBCC CHECKDB fail" in text
    assert "At a restart: databases stay in RECOVERY PENDING." in text
    assert "If only wrap is refused" not in text  # the probe knows the step


def test_open_reason_lists_the_likely_causes_of_its_code():
    text = text_of(step=Step.TOKEN, code=3303, reason=Reason.CREDENTIALS_REFUSED, status=401)
    assert text.count("likely cause") == 5
    assert "\ncause " not in text


def test_a_connection_that_shows_its_cause_has_no_guesses():
    text = text_of(step=Step.CHALLENGE, code=3014, reason=Reason.TLS_UNTRUSTED, status=None)
    assert "\ncause           The certificate was issued by an authority" in text
    assert "likely cause" not in text


def test_refused_wrap_states_what_fails_and_that_it_can_wait():
    text = " ".join(text_of(step=Step.WRAP_KEY, code=3077, reason=Reason.KEY_EXPIRED, status=403, ready=True).split())
    assert "effect No key can be created or rotated. As far as is known, databases," in text
    assert "This can wait for working hours." in text


def test_page_of_a_proxy_is_not_owned_by_the_administrator_of_the_credential():
    text = text_of(
        step=Step.TOKEN, code=3303, reason=Reason.ANSWER_NOT_JSON, status=401, has_page=True, detail="<html>blocked</html>"
    )  # fmt: skip
    assert "owner           network: " in text
    assert "client secret has expired" not in text
    assert "likely cause    A proxy, gateway or security appliance responds" in text
    assert "restart the SQL Server service" not in text


def test_a_good_probe_has_equal_bytes_and_no_code():
    text = transcript(target(), good(), vantage=Vantage.CENTRAL)
    assert "result          every step succeeded and the bytes came back equal\n" in text
    assert "verdict         vault side ready, seen from a central host\n" in text
    assert "\ncode " not in text
