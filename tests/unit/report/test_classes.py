"""The class and the party of each failed minute, written from docs/service-report.md."""

import pytest

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.report.minutes import CLASS_TEXTS, PARTY_TEXTS, MinuteClass, Party, failed_minute

# Step, reason, class, party.
PROMISED = (
    ("get_key", "throttled", "throttled", "vault"),
    ("token", "throttled", "throttled", "entra"),
    ("unwrap_key", "forbidden_rbac", "refused", "settings"),
    ("challenge", "forbidden_firewall", "refused", "settings"),
    ("get_key", "key_not_found", "refused", "settings"),
    ("get_key", "key_expired", "refused", "settings"),
    ("get_key", "not_found", "refused", "settings"),
    ("get_key", "bad_request", "refused", "settings"),
    ("unwrap_key", "conflict", "refused", "vault"),
    ("token", "secret_expired", "refused", "settings"),
    ("token", "conditional_access", "refused", "settings"),
    ("get_key", "token_expired", "refused", "settings"),
    ("token", "clock_skew", "refused", "host"),
    ("get_key", "token_unverifiable", "failed", "vault"),
    ("unwrap_key", "bytes_differ", "failed", "vault"),
    ("unwrap_key", "server_error", "failed", "vault"),
    ("token", "server_error", "failed", "entra"),
    ("token", "entra_unavailable", "failed", "entra"),
    ("token", "unexpected_status", "failed", "entra"),
    ("get_key", "answer_not_json", "failed", "vault"),
    ("token", "answer_empty", "failed", "entra"),
    ("challenge", "challenge_absent", "failed", "vault"),
    ("wrap_key", "body_timeout", "failed", "vault"),
    ("token", "identity_unavailable", "failed", "host"),
    ("challenge", "dns_not_found", "unreachable", "network"),
    ("token", "connect_timeout", "unreachable", "network"),
    ("challenge", "tls_untrusted", "unreachable", "network"),
    ("get_key", "connection_reset", "unreachable", "network"),
    ("challenge", "proxy_auth", "unreachable", "network"),
    ("token", "forbidden", "unreachable", "network"),
    ("token", "conflict", "unreachable", "network"),
    ("challenge", "read_timeout", "unreachable", "vault"),
    ("token", "read_timeout", "unreachable", "entra"),
    ("challenge", "network_down", "unreachable", "host"),
)


@pytest.mark.parametrize(("step", "reason", "kind", "party"), PROMISED, ids=[f"{row[0]}-{row[1]}" for row in PROMISED])
def test_failed_minute_has_the_documented_class_and_party(step: str, reason: str, kind: str, party: str) -> None:
    state = failed_minute(step, reason)
    assert (state.kind.value, state.party, state.step, state.reason) == (kind, party, step, reason)


@pytest.mark.parametrize("reason", ["internal", "secret_unreadable", "secret_timeout", "scrape_timeout", "of_a_newer_exporter"])
def test_minute_of_exporter_or_unknown_reason_is_not_tested(reason: str) -> None:
    state = failed_minute("token", reason)
    assert (state.kind, state.party) == (MinuteClass.NOT_TESTED, None)


def test_every_step_and_reason_has_a_class_and_measured_ones_a_party() -> None:
    for step in Step:
        for reason in Reason:
            state = failed_minute(step.value, reason.value)
            assert (state.kind is MinuteClass.NOT_TESTED) == (state.party is None)
            assert state.kind is not MinuteClass.ANSWERED


def test_every_class_and_party_has_a_text() -> None:
    assert list(CLASS_TEXTS) == list(MinuteClass)
    assert list(PARTY_TEXTS) == list(Party)
