"""The command `inventory` in a folder of its own, and the targets that it wrote."""

import asyncio

import yaml

from exporter.cli.main import main
from exporter.config.schema import dump_yaml
from exporter.simulator.build import redirect_config
from tests.support.command_lines import with_defaults
from tests.support.simulated_sql import CONFIG, configuration
from tests.support.written import write_private

MARKED = "marked-secret"
SECRET = "0123456789abcdef0123456789abcdef" + MARKED
WITHOUT_TARGETS = {"global": {"interval": "60s", "vantage": "sql_host"}, "include": ["targets.d/*.yml"]}


class InventoryCommand:
    """A folder with a configuration that includes the written files, and the command, which prints no secret."""

    def __init__(self, path, capsys, *, content=WITHOUT_TARGETS, secret=MARKED):
        self.path, self._capsys, self._secret = path, capsys, secret
        self.config, self.out, self.errors = path / "ekm.yml", path / "targets.d", ""
        self.config.write_text(yaml.safe_dump(content))
        self.defaults = {"--out": self.out, "--config.file": self.config}

    def write(self, name, content):
        """Write a file that only its owner may read; return its path."""
        return write_private(self.path / name, content)

    def run(self, *flags, code=0):
        """Run the command; return its output, and keep what it wrote to standard error. Blocks."""
        found = main(["inventory", *with_defaults(flags, self.defaults)])
        captured = self._capsys.readouterr()
        assert found in (code if isinstance(code, tuple) else (code,)), captured
        assert self._secret not in captured.out + captured.err
        self.errors = captured.err
        return captured.out

    async def connect(self, *flags, code=0):
        """Run the command while servers of this process answer it."""
        return await asyncio.to_thread(self.run, *flags, code=code)

    def targets(self, file="*"):
        files = sorted(self.out.glob(f"{file}.yml"))
        return [one for file in files for one in yaml.safe_load(file.read_text())["targets"]]

    def keys(self, host=None):
        return [one["key"] for one in self.targets() if host is None or host in [each["host"] for each in one["instances"]]]

    def supply_secrets(self):
        """Write the secrets of each credential that the command declared."""
        (self.path / "secrets").mkdir(exist_ok=True)
        for file in self.out.glob("*.yml"):
            for credential in (yaml.safe_load(file.read_text()).get("credentials") or {}).values():
                self.write(self.out / credential["secret_file"], SECRET)


def redirected(path, simulator, text=CONFIG):
    """Return the modules and credentials of a configuration, which lead to the simulator."""
    (path / "vault.pem").write_bytes(simulator.ca_pem)
    declared = yaml.safe_load(dump_yaml(redirect_config(simulator, configuration(path, text), path / "vault.pem")))
    return {name: declared[name] for name in ("modules", "credentials")} | {"include": ["targets.d/*.yml"]}
