"""Which of the secrets, certificates or versions that are listed is ours, and when it ends."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.core.credential_expiry import (
    ListedCredential,
    LookupResult,
    SecretVersion,
    Source,
    choose_certificate,
    choose_secret,
    choose_version,
    graph_of,
    start_of,
)
from exporter.metrics.definitions import BY_NAME

NOW = 1_800_000_000.0
OURS = "abcdef"
THUMBPRINT = "0f" * 20


def listed(*entries):
    return [ListedCredential(mark=mark, expires=expires) for mark, expires in entries]


# what is listed (hint, end), what is found; our secret begins with "abc"
SECRETS = [
    ([("abc", NOW + 9)], NOW + 9),
    ([("xyz", NOW + 1), ("abc", NOW + 9)], NOW + 9),
    ([("abc", NOW + 9), ("abc", NOW + 5)], NOW + 5),  # two begin alike: the one that ends first
    ([("abc", NOW - 9), ("abc", NOW + 5)], NOW + 5),  # but not one that has ended already
    ([("abc", NOW - 9), ("abc", NOW - 5)], NOW - 5),  # unless all have
    ([("abc", NOW)], NOW),
    ([("abc", NOW), ("abc", NOW + 5)], NOW + 5),
    ([("abc", None)], None),  # never ends
    ([("abc", None), ("abc", NOW + 5)], NOW + 5),
    ([("abc", None), ("abc", NOW - 5)], None),
    ([(None, NOW + 5)], NOW + 5),  # not told, and there is no other
    ([("abc", NOW + 9), (None, NOW + 5)], NOW + 9),
]


@pytest.mark.parametrize(("entries", "end"), SECRETS)
def test_the_secret_that_begins_like_ours_is_found(entries, end):
    assert choose_secret(listed(*entries), OURS, NOW) == LookupResult(answered=True, expires_at=end)


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
def test_where_no_secret_begins_like_ours_nothing_is_known_and_that_is_said(entries):
    found = choose_secret(listed(*entries), OURS, NOW)
    assert found.answered
    assert found.expires_at is None
    assert found.note


ENDS = st.one_of(st.none(), st.floats(0, 2 * NOW))
LISTS = st.lists(st.tuples(st.sampled_from(["abc", "xyz", None]), ENDS), max_size=8)


@given(LISTS, st.randoms())
def test_the_order_of_the_list_decides_nothing(entries, rng):
    shuffled = list(entries)
    rng.shuffle(shuffled)
    assert choose_secret(listed(*entries), OURS, NOW) == choose_secret(listed(*shuffled), OURS, NOW)


@given(LISTS, ENDS)
def test_a_secret_of_another_never_changes_what_is_known_of_ours(entries, end):
    with_ours = [*entries, ("abc", NOW + 7)]
    assert choose_secret(listed(*with_ours), OURS, NOW) == choose_secret(listed(*with_ours, ("xyz", end)), OURS, NOW)


@given(LISTS)
def test_what_is_found_is_an_end_of_ours_and_no_sooner_one_is_to_come(entries):
    found = choose_secret(listed(*entries), OURS, NOW)
    ours = [end for mark, end in entries if mark == "abc"] or [end for _, end in entries]
    if found.note:
        assert "abc" not in [mark for mark, _ in entries]
    else:
        assert found.expires_at in ours
        coming = [end for end in ours if end is not None and end > NOW]
        assert not coming or found.expires_at == min(coming)


@given(st.text(max_size=40), LISTS)
def test_what_is_said_of_a_secret_does_not_depend_on_it(secret, entries):
    assert choose_secret(listed(*entries), secret, NOW).note in {"", choose_secret([], OURS, NOW).note}


def test_a_certificate_is_told_by_its_thumbprint():
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
def test_the_named_version_of_a_key_vault_secret_counts_else_the_newest_that_is_enabled(wanted, end):
    assert choose_version(VERSIONS, wanted) == LookupResult(answered=True, expires_at=end)


@pytest.mark.parametrize(
    ("versions", "wanted"), [((), None), (VERSIONS, "e5"), ((version("c3", enabled=False, expires=1),), None), ((), "a1")]
)
def test_a_version_that_is_not_listed_or_not_enabled_says_nothing(versions, wanted):
    found = choose_version(versions, wanted)
    assert (found.answered, found.expires_at, bool(found.note)) == (True, None, True)


def test_a_version_that_never_ends_is_an_answer_without_an_end():
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
def test_each_cloud_has_its_graph_and_a_known_authority_names_the_cloud(vault, authority_host, graph, authority):
    cloud = graph_of(vault, authority_host)
    assert cloud.graph == graph
    assert authority is None or cloud.authority == authority


def test_a_declared_day_is_read_as_its_start_in_utc():
    assert start_of(date(2027, 3, 1)) == 1803859200.0


def test_the_label_source_has_the_values_of_the_table():
    assert "source" in BY_NAME["ekm_credential_expiry_timestamp_seconds"].own
    assert [str(source) for source in Source] == ["declared", "certificate", "graph", "key_vault"]
