"""The ports of shards: which one a shard listens on, and which ones it knows of the others."""

import pytest

from exporter.cli import run
from exporter.cli.main import build_parser

CONFIG = """
global: {connector_generation: classic}
credentials: {by-vm: {type: managed_identity}}
targets: [{name: a, vault: contoso-prod, key: Key/0123456789abcdef0123456789abcdef, credential: by-vm}]
"""


@pytest.mark.parametrize(
    ("flags", "addresses", "offsets"),
    [
        ([], [":10377"], range(1)),
        (["--shard", "0/3"], [":10377"], range(3)),
        (["--shard", "2/3"], [":10379"], range(-2, 1)),
        (["--shard", "2/3", "--web.listen-address", "10.0.0.5:10379"], ["10.0.0.5:10379"], range(-2, 1)),
        (["--shard", "2/3", "--web.listen-address", ":9000"], [":9000"], range(1)),
        (["--web.listen-address", ":9000"], [":9000"], range(1)),
    ],
)
def test_shard_listens_on_its_port_and_knows_the_others(flags, addresses, offsets, tmp_path, monkeypatch):
    started = []

    async def only_record(_config, options):
        started.append(options)

    monkeypatch.setattr(run, "serve", only_record)
    monkeypatch.setattr(run.logging, "configure", lambda *_, **__: None)  # it would change the log of all tests
    (tmp_path / "ekm.yml").write_text(CONFIG)
    arguments = build_parser().parse_args(["run", "--config.file", str(tmp_path / "ekm.yml"), *flags])
    assert arguments.handler(arguments) == 0
    [options] = started
    assert [str(address) for address in options.listen] == addresses
    assert options.web.shard_offsets == offsets
