"""Which credentials are monitored, with which sources and pauses."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.settings import Retained
from exporter.core.values import CredentialKind
from exporter.knowledge.expiry import Source
from exporter.probing.expiry import INTERVALS, first_delay, monitored_credentials, next_delay
from tests.support.expiry_fakes import a_config, a_credential, by_graph
from tests.support.factories import a_target

SECRET_URL = "https://ops.vault.azure.net/secrets/sql"
GRAPH, KEY_VAULT, CERTIFICATE = Source.GRAPH, Source.KEY_VAULT, Source.CERTIFICATE


@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        (CredentialKind.CLIENT_SECRET, (GRAPH, KEY_VAULT)),
        (CredentialKind.CONNECTOR_SECRET, (GRAPH, KEY_VAULT)),
        (CredentialKind.CLIENT_CERTIFICATE, (CERTIFICATE, GRAPH, KEY_VAULT)),
        (CredentialKind.MANAGED_IDENTITY, ()),
        (CredentialKind.WORKLOAD_IDENTITY, ()),
        (CredentialKind.DEFAULT, ()),
    ],
)
def test_each_kind_of_credential_has_its_sources(kind, sources):
    full = a_credential(
        kind=kind, graph_credential="monitor", key_vault_secret=SECRET_URL, certificate_file=Path("sp.pem"), client_id="c"
    )
    assert monitored_credentials(a_config(full))["sql"].sources == sources


def test_sources_need_a_configured_lookup_credential():
    assert monitored_credentials(a_config(a_credential()))["sql"].sources == ()
    certificate = a_credential(kind=CredentialKind.CLIENT_CERTIFICATE, certificate_file=Path("sp.pem"), client_id="c")
    assert monitored_credentials(a_config(certificate))["sql"].sources == (CERTIFICATE,)


def test_monitored_are_credentials_and_lookup_credentials():
    names = ("current", "next", "recovery", "old", "unused")
    retained = Retained(key_name="K", key_version="1", vault="old.vault.azure.net", credential="old")
    target = a_target(
        "one", credential="current", next_credential="next", recovery_credential="recovery", retained_versions=(retained,)
    )
    config = a_config(by_graph("current"), *(a_credential(name) for name in names[1:]), targets=[target])
    assert set(monitored_credentials(config)) == {"current", "next", "recovery", "old", "monitor"}


@pytest.mark.parametrize(
    ("more", "identity"),
    [
        ({}, "sql"),
        ({"graph_credential": "monitor"}, "monitor"),
        ({"graph_credential": "monitor", "key_vault_credential": "ops"}, "ops"),
    ],
)
def test_key_vault_lookup_credential_has_a_precedence(more, identity):
    config = a_config(a_credential(key_vault_secret=SECRET_URL, **more), a_credential("ops"))
    assert monitored_credentials(config)["sql"].lookup_credentials[KEY_VAULT].name == identity


@given(st.sampled_from(list(INTERVALS)), st.integers(0, 10_000), st.floats(0, 1))
def test_delay_stays_within_the_bounds_of_its_source(source, failures, draw):
    seconds = next_delay(source, failures, draw)
    assert 0.9 * INTERVALS[source].failed <= seconds <= 1.1 * INTERVALS[source].answered


@given(st.integers(0, 20), st.floats(0, 1))
def test_another_failure_never_shortens_the_delay(failures, draw):
    assert next_delay(GRAPH, failures + 2, draw) >= next_delay(GRAPH, failures + 1, draw)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_first_delay_is_a_minute_and_none_for_files(credentials, draw):
    assert 5 <= first_delay(GRAPH, credentials, draw) <= 65
    assert first_delay(CERTIFICATE, credentials, draw) == 0
