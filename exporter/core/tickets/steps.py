"""The actions of a failure as steps for another team: its part alone, with each command in three forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exporter.core.tickets.az_command import AzCommand, completed, parse, portal_path, powershell
from exporter.core.tickets.equivalents import find_equivalent

MOST_STEPS: Final = 5
AZ, POWERSHELL, PORTAL, RUN, KQL, OLD_KQL = "az", "PowerShell", "portal", "run", "KQL", "or"
_SPAN = re.compile(r"`([^`]+)`")
_COMMAND_AT_END = re.compile(r": `([^`]+)`(?=\.(?: [A-Z]|$))")
_FIRST_WORDS = ("az ", "curl ", "Resolve-DnsName ", "Test-NetConnection ", "openssl ", "nslookup ")
_VAULT_ID = "VAULT_ID"
_VAULT_ID_IS = re.compile(r"^VAULT_ID is the output of `[^`]+`\. ")
_ALLOW_EACH = "Allow the public address of each SQL Server host"
_FRAGMENT = re.compile(r"^((?:If|For) [^,:.]*)(?=\.|$)")
# Parts of the actions of DBAs and of the exporter's operators.
_NOT_THEIRS: Final = (
    "ekm-exporter ",
    "Do not restart",
    "ALTER ",
    "CREATE ASYMMETRIC",
    "`sys.",
    "sys.dm_",
    "the exporter",
    "in the module",
    "the configuration",
    "configure it here",
    "of the credential",
    "certificate file",
    "Postpone rotation",
    "Check the clock of this host",
    "Compare with the proxy of SQL Server",
    "move SQL Server",
    "delayed start",
)


@dataclass(frozen=True, slots=True)
class TeamStep:
    """One step: a sentence, and lines of a label and a command or path."""

    text: str
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a failure was observed: the host's name, and whether SQL Server runs there."""

    host: str
    is_sql_host: bool

    def named_in(self, text: str) -> str:
        """Return an action in which this place has its name, for readers elsewhere."""
        there = "" if self.is_sql_host else f"on {self.host} and "
        for words, shown in (
            ("here and on the SQL Server host", f"{there}on the SQL Server host"),
            ("here and ", f"on {self.host} and "),
            ("this host", self.host),
            ("this network", f"the network of {self.host}"),
            ("this exporter", self.host),
            ("If the vault refuses there too, allow the address that the probe shows there", _ALLOW_EACH),
            ("the detail of the probe", "the evidence above"),
            ("the detail of the step", "the evidence above"),
        ):
            text = text.replace(words, shown)
        return text


def team_steps(actions: Sequence[str], place: Place, vault: str) -> list[TeamStep]:
    """Return the steps of another team. `actions` have the names of `vault` filled in."""
    theirs = (text for text in actions if not any(part in text for part in _NOT_THEIRS))
    return [_step(text, place, vault) for text in islice(theirs, MOST_STEPS)]


def _step(text: str, place: Place, vault: str) -> TeamStep:
    text = place.named_in(_VAULT_ID_IS.sub("", text))
    commands = [each for each in _SPAN.findall(text) if each.startswith(_FIRST_WORDS)]
    sentence = _COMMAND_AT_END.sub(lambda found: "" if found[1] in commands else found[0], text)
    lines = (line for command in commands for line in command_lines(command, vault))
    return TeamStep(_FRAGMENT.sub(r"\1, see below", sentence).replace("`", ""), tuple(lines))


def command_lines(command: str, vault: str) -> Iterator[tuple[str, str]]:
    """Yield a command in its forms."""
    if not command.startswith("az "):
        yield RUN, command.replace("curl ", "curl.exe ")
        return
    parsed = parse(command)
    equivalent = find_equivalent(parsed)
    if equivalent is None:
        yield AZ, command
        return
    yield AZ, str(_with_id(parsed, vault, in_shell=True))
    yield POWERSHELL, powershell(equivalent, _with_id(parsed, vault, in_shell=False))
    yield PORTAL, portal_path(equivalent, parsed, vault)


def _with_id(command: AzCommand, vault: str, *, in_shell: bool) -> AzCommand:
    """Return the command with the resource id of the vault looked up instead of the word VAULT_ID."""
    with_az = f'"$(az keyvault show --name {vault} --query id --output tsv)"'
    return command.with_values({_VAULT_ID: with_az if in_shell else f"(Get-AzKeyVault -VaultName {vault}).ResourceId"})


def check_command(actions: Iterable[str], vault: str) -> str:
    """Return the `az` command that shows the effect of the first change among the actions; empty if there is none."""
    commands = (parse(each) for text in actions for each in _SPAN.findall(text) if each.startswith("az "))
    found = ((find_equivalent(command), command) for command in commands)
    return next(
        (
            completed(equivalent.check, command, vault)
            for equivalent, command in found
            if equivalent is not None and equivalent.check
        ),
        "",
    )
