"""The effective configuration in pieces: the same text as in one, and no piece of thousands of values."""

import pytest
import yaml

from exporter.config.schema import dump_yaml, effective_pieces
from exporter.config.settings import Module
from tests.support import factories

MANY = 2000
HOSTS = {f"contoso-{number:04}.vault.azure.net:443": "10.0.0.4:8443" for number in range(MANY)}
SERVERS = tuple({"sql_instance": f"SQL{number}", "host": f"n{number}"} for number in range(MANY))
LABELS = {f"label{number}": str(number) for number in range(MANY)}


def large():
    """A configuration whose module has thousands of addresses, and whose target has as many SQL Servers and labels."""
    module = Module(name="default", connect_to=HOSTS)
    targets = factories.a_target("first", instances=SERVERS, labels=LABELS), factories.a_target("second")
    return factories.a_config(*targets, modules=(module, Module(name="other")))


def test_no_piece_has_more_than_a_few_values():
    assert max(len(piece) for piece in effective_pieces(large())) < 5000


def test_pieces_are_the_text_of_the_whole_configuration():
    text = dump_yaml(large())
    found = yaml.safe_load(text)
    assert list(found["modules"]["default"]["connect_to"].items()) == list(HOSTS.items())
    assert tuple(found["targets"][0]["instances"]) == SERVERS
    assert list(found["targets"][0]["labels"].items()) == list(LABELS.items())
    assert [each["name"] for each in found["targets"]] == ["first", "second"]
    assert text == yaml.dump(found, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=130)


@pytest.mark.parametrize("name", ["null", "1.5", "a" * 128, "a" * 129])  # YAML writes a key of more than 128 characters otherwise
def test_module_keeps_its_name_in_the_text(name):
    module = Module(name=name, connect_to=HOSTS)
    text = dump_yaml(factories.a_config(factories.a_target(), modules=(module,)))
    assert yaml.safe_load(text)["modules"][name]["connect_to"] == HOSTS
