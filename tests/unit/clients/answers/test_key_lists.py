"""Pages of a vault's keys and of their versions."""

import json

import pytest

from exporter.clients.answers import ListedKey, read_key_list
from exporter.core.values import Fault

VAULT = "https://contoso-prod.vault.azure.net/keys"


def page(*values, link=None):
    return json.dumps({"value": list(values), "nextLink": link}).encode()


def test_keys_and_versions_are_read():
    body = page(
        {"kid": f"{VAULT}/tde"},
        {"kid": f"{VAULT}/tde/11aa", "attributes": {"enabled": False}},
        {"kid": f"{VAULT}/tde/22bb", "attributes": {"enabled": "yes"}},
        {"kid": f"{VAULT}/of-a-certificate", "managed": True},
        link="https://next",
    )
    entries = (
        ListedKey("tde", None),
        ListedKey("tde", "11aa", enabled=False),
        ListedKey("tde", "22bb"),
        ListedKey("of-a-certificate", None, managed=True),
    )
    assert read_key_list(body) == (Fault.NONE, entries, "https://next")


@pytest.mark.parametrize("link", [None, "", 7])
def test_last_page_has_no_link(link):
    assert read_key_list(page(link=link)) == (Fault.NONE, (), None)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<html>", Fault.ANSWER_NOT_JSON),
        (b"{}", Fault.VALUE_MISSING),
        (page("tde"), Fault.VALUE_UNUSABLE),
        (page({"kid": 7}), Fault.VALUE_UNUSABLE),
        (page({"kid": "https://contoso-prod.vault.azure.net/secrets/x"}), Fault.VALUE_UNUSABLE),
        (page(*[{"kid": f"{VAULT}/tde"}] * 1001), Fault.VALUE_UNUSABLE),
    ],
)
def test_unusable_page_is_a_fault(body, fault):
    assert read_key_list(body) == (fault, (), None)
