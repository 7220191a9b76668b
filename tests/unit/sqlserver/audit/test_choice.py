"""Which target a text names: its name, its key version or the key's URI."""

import pytest

from exporter.sqlserver.audit import ChoiceError, choose_target
from tests.support.gate_factories import URL, VAULT, row, state

URI = f"https://{VAULT}/keys/K/1111aaaa2222"


def targets(*rows):
    return state(URL, *rows).targets


TWO = (row(), row(target="second", vault="other.vault.azure.net", key_version=None))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("contoso-key0", "contoso-key0"),
        ("second", "second"),
        ("K/1111aaaa2222", "contoso-key0"),
        (URI, "contoso-key0"),
        (URI.upper() + "/", "contoso-key0"),
        ("https://other.vault.azure.net/keys/K", "second"),
    ],
)
def test_target_is_found_by_name_version_or_uri(text, name):
    assert choose_target(text, targets(*TWO)).name == name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("K", f"'K' is a key in 2 vaults: write its URI, such as {URI}"),
        (
            "contoso-key1",
            "no target and no key 'contoso-key1' (did you mean 'contoso-key0'?): write a target's name, KEY/VERSION or the key's URI",
        ),
        ("K/9", "no target and no key 'K/9': write a target's name, KEY/VERSION or the key's URI"),
    ],
)
def test_text_without_one_key_is_refused(text, problem):
    with pytest.raises(ChoiceError) as caught:
        choose_target(text, targets(*TWO))
    assert str(caught.value) == problem
