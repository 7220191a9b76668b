"""The expiry of a credential: the listed secret, certificate or version, and the word of Entra ID."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.values import Outcome, Step
from exporter.knowledge.expiry import (
    ACCEPTED,
    REFUSED,
    CredentialExpiry,
    EntraAnswer,
    ListedCredential,
    LookupResult,
    SecretVersion,
    Source,
    choose_certificate,
    choose_secret,
    choose_version,
    entra_answer,
    graph_of,
    mark_wrong_dates,
    start_of,
    wrong_dates,
)
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult

NOW = 1_800_000_000.0
SECRET = "abcdef"
THUMBPRINT = "0f" * 20


def listed(*entries):
    return [ListedCredential(mark=mark, expires=expires) for mark, expires in entries]


# The listed hints and expiries, and the chosen expiry; the secret begins with "abc".
LISTINGS = [
    ([("abc", NOW + 9)], NOW + 9),
    ([("xyz", NOW + 1), ("abc", NOW + 9)], NOW + 9),
    ([("abc", NOW + 9), ("abc", NOW + 5)], NOW + 5),  # two with the same hint: the first to expire
    ([("abc", NOW - 9), ("abc", NOW + 5)], NOW + 5),  # an expired one does not count
    ([("abc", NOW - 9), ("abc", NOW - 5)], NOW - 5),  # unless all are expired
    ([("abc", NOW)], NOW),
    ([("abc", NOW), ("abc", NOW + 5)], NOW + 5),
    ([("abc", None)], None),  # never expires
    ([("abc", None), ("abc", NOW + 5)], NOW + 5),
    ([("abc", None), ("abc", NOW - 5)], None),
    ([(None, NOW + 5)], NOW + 5),  # no hint, and no other secret
    ([("abc", NOW + 9), (None, NOW + 5)], NOW + 9),
]


@pytest.mark.parametrize(("entries", "end"), LISTINGS)
def test_the_secret_with_the_matching_hint_is_chosen(entries, end):
    assert choose_secret(listed(*entries), SECRET, NOW) == LookupResult(answered=True, expires_at=end)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [("xyz", NOW + 1)],
        [("ABC", NOW + 1)],
        [("ab", NOW + 1)],
        [(None, NOW + 1), (None, NOW + 2)],
        [("xyz", 1.0), (None, 2.0)],
    ],
)
def test_without_a_matching_hint_the_result_has_a_note(entries):
    found = choose_secret(listed(*entries), SECRET, NOW)
    assert found.answered
    assert found.expires_at is None
    assert found.note


ENDS = st.one_of(st.none(), st.floats(0, 2 * NOW))
LISTS = st.lists(st.tuples(st.sampled_from(["abc", "xyz", None]), ENDS), max_size=8)


@given(LISTS, st.randoms())
def test_the_order_of_the_list_changes_nothing(entries, rng):
    shuffled = list(entries)
    rng.shuffle(shuffled)
    assert choose_secret(listed(*entries), SECRET, NOW) == choose_secret(listed(*shuffled), SECRET, NOW)


@given(LISTS, ENDS)
def test_another_hint_never_changes_the_result(entries, end):
    matching = [*entries, ("abc", NOW + 7)]
    assert choose_secret(listed(*matching), SECRET, NOW) == choose_secret(listed(*matching, ("xyz", end)), SECRET, NOW)


@given(LISTS)
def test_the_result_is_the_first_expiry_still_to_come(entries):
    found = choose_secret(listed(*entries), SECRET, NOW)
    candidates = [end for mark, end in entries if mark == "abc"] or [end for _, end in entries]
    if found.note:
        assert "abc" not in [mark for mark, _ in entries]
    else:
        assert found.expires_at in candidates
        coming = [end for end in candidates if end is not None and end > NOW]
        assert not coming or found.expires_at == min(coming)


@given(st.text(max_size=40), LISTS)
def test_a_note_does_not_depend_on_the_secret(secret, entries):
    assert choose_secret(listed(*entries), secret, NOW).note in {"", choose_secret([], SECRET, NOW).note}


def test_a_certificate_is_found_by_its_thumbprint():
    entries = listed((THUMBPRINT, NOW + 5), ("aa" * 20, NOW + 1), (None, NOW + 2))
    assert choose_certificate(entries, THUMBPRINT, NOW).expires_at == NOW + 5
    assert choose_certificate(entries[1:], THUMBPRINT, NOW).note


def version(name, *, enabled=True, created=None, expires=None):
    return SecretVersion(version=name, enabled=enabled, created=created, expires=expires)


VERSIONS = (
    version("a1", created=10, expires=100),
    version("c3", created=30, expires=300, enabled=False),
    version("b2", created=20, expires=200),
    version("d4", expires=400),
)


@pytest.mark.parametrize(("wanted", "end"), [(None, 200), ("a1", 100), ("A1", 100), ("c3", 300)])
def test_the_named_or_else_newest_enabled_version_is_chosen(wanted, end):
    assert choose_version(VERSIONS, wanted) == LookupResult(answered=True, expires_at=end)


@pytest.mark.parametrize(
    ("versions", "wanted"), [((), None), (VERSIONS, "e5"), ((version("c3", enabled=False, expires=1),), None), ((), "a1")]
)
def test_an_unlisted_or_disabled_version_has_a_note_only(versions, wanted):
    found = choose_version(versions, wanted)
    assert (found.answered, found.expires_at, bool(found.note)) == (True, None, True)


def test_a_version_without_expiry_is_a_result_without_expiry():
    assert choose_version((version("a1"),), None) == LookupResult(answered=True)


@pytest.mark.parametrize(
    ("vault", "authority_host", "graph", "authority"),
    [
        ("contoso.vault.azure.net", None, "graph.microsoft.com", "https://login.microsoftonline.com"),
        ("contoso.managedhsm.azure.net", None, "graph.microsoft.com", "https://login.microsoftonline.com"),
        ("contoso.vault.usgovcloudapi.net", None, "graph.microsoft.us", "https://login.microsoftonline.us"),
        ("contoso.vault.azure.cn", None, "microsoftgraph.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"),
        ("vault.corp.example:8443", None, "graph.microsoft.com", "https://login.microsoftonline.com"),
        ("vault.corp.example", "https://login.chinacloudapi.cn", "microsoftgraph.chinacloudapi.cn", None),
        ("contoso.vault.azure.net", "https://login.microsoftonline.us/", "graph.microsoft.us", None),
        ("contoso.vault.azure.cn", "https://entra.corp.example", "microsoftgraph.chinacloudapi.cn", None),
    ],
)
def test_vault_and_authority_select_the_cloud_of_graph(vault, authority_host, graph, authority):
    cloud = graph_of(vault, authority_host)
    assert cloud.graph == graph
    assert authority is None or cloud.authority == authority


def test_a_declared_day_starts_at_midnight_utc():
    assert start_of(date(2027, 3, 1)) == 1803859200.0


# Whose word counts if Entra ID and a date contradict each other.

DAY, ANSWERED = 86400.0, 1767323045.0


def token(outcome=Outcome.OK, reason=None):
    return [StepResult(step=Step.CHALLENGE, outcome=Outcome.OK), StepResult(step=Step.TOKEN, outcome=outcome, reason=reason)]


def date_in(days, source=Source.DECLARED, **more):
    return CredentialExpiry(credential="sql", source=source, expires_at=None if days is None else ANSWERED + days * DAY, **more)


@pytest.mark.parametrize("reason", [Reason.SECRET_EXPIRED, Reason.CERTIFICATE_EXPIRED])
def test_a_credential_is_expired_since_the_first_refusal(reason):
    first = entra_answer(token(Outcome.FAILED, reason), 5.0, EntraAnswer(at=4.0))
    assert first == EntraAnswer(at=5.0, expired_since=5.0)
    assert entra_answer(token(Outcome.FAILED, reason), 6.0, first) == EntraAnswer(at=6.0, expired_since=5.0)
    assert entra_answer(token(), 7.0, first) == EntraAnswer(at=7.0)


@pytest.mark.parametrize("steps", [[], token(Outcome.SKIPPED), token(Outcome.FAILED, Reason.SECRET_WRONG)])
def test_another_failure_changes_no_answer(steps):
    before = EntraAnswer(at=1.0, expired_since=1.0)
    assert entra_answer(steps, 2.0, before) is before


@pytest.mark.parametrize("source", [Source.DECLARED, Source.GRAPH, Source.KEY_VAULT, Source.CERTIFICATE])
def test_a_later_date_of_a_refused_credential_is_wrong(source):
    found = mark_wrong_dates("sql", [date_in(80, source)], EntraAnswer(at=ANSWERED, expired_since=ANSWERED - 9))
    assert [(end.source, end.wrong) for end in found] == [(source, REFUSED), (Source.ENTRA, "")]
    assert (found[1].expires_at, found[1].looked_up_at) == (ANSWERED - 9, ANSWERED)


def test_a_passed_date_of_a_refused_credential_is_right():
    known = [date_in(-3), date_in(None, Source.GRAPH, failure="HTTP 403"), date_in(None, Source.KEY_VAULT)]
    assert wrong_dates(mark_wrong_dates("sql", known, EntraAnswer(at=ANSWERED, expired_since=ANSWERED))) == ""


def test_no_expiry_at_all_is_wrong_for_a_refused_credential():
    found = mark_wrong_dates(
        "sql", [date_in(None, Source.GRAPH, looked_up_at=ANSWERED)], EntraAnswer(at=ANSWERED, expired_since=ANSWERED)
    )
    assert wrong_dates(found) == "the Graph date (none) is wrong"


def test_a_refused_credential_without_a_source_has_expired():
    (own,) = mark_wrong_dates("sql", [], EntraAnswer(at=ANSWERED, expired_since=ANSWERED))
    assert (own.credential, own.source) == ("sql", Source.ENTRA)


@pytest.mark.parametrize(("days", "wrong"), [(-1.5, ACCEPTED), (-0.5, ""), (80, "")])
def test_a_passed_date_of_an_accepted_credential_is_wrong(days, wrong):
    (found,) = mark_wrong_dates("sql", [date_in(days, Source.CERTIFICATE)], EntraAnswer(at=ANSWERED))
    assert found.wrong == wrong


def test_without_an_answer_no_date_is_wrong():
    assert mark_wrong_dates("sql", [date_in(-9)], None) == (date_in(-9),)


def test_wrong_dates_are_named_by_their_source():
    found = mark_wrong_dates(
        "sql", [date_in(80), date_in(90, Source.CERTIFICATE)], EntraAnswer(at=ANSWERED, expired_since=ANSWERED)
    )
    assert wrong_dates(found) == "the declared date 2026-03-23 is wrong, the certificate's date 2026-04-02 is wrong"
