"""The actions of a failure as steps for another team: its part alone, with each command in three forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exporter.core.tickets.az_command import AzCommand, Equivalent, completed, parse, portal_path, powershell
from exporter.core.tickets.equivalents import find_equivalent

MOST_STEPS: Final = 5
MOST_IN_LOOP: Final = 40  # vaults
MOST_LISTED: Final = 4  # commands that differ in more than the vault
AZ, POWERSHELL, PORTAL, RUN = "az", "PowerShell", "portal", "run"
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


def team_steps(
    actions: Sequence[str], place: Place, vault: str, others: Iterable[tuple[str, Sequence[str]]] = ()
) -> list[TeamStep]:
    """Return the steps of another team.

    `actions` have the names of `vault` filled in. `others` are further vaults with the same failure, each with its own actions.
    """
    theirs = {number: text for number, text in enumerate(actions) if not any(part in text for part in _NOT_THEIRS)}
    rest = [(name, each) for name, each in others if len(each) == len(actions)]
    chosen = islice(theirs.items(), MOST_STEPS)
    return [_step(text, place, vault, [(name, each[number]) for name, each in rest]) for number, text in chosen]


def _step(text: str, place: Place, vault: str, others: Sequence[tuple[str, str]]) -> TeamStep:
    text = place.named_in(_VAULT_ID_IS.sub("", text))
    spans = _SPAN.findall(text)
    commands = {number: each for number, each in enumerate(spans) if each.startswith(_FIRST_WORDS)}
    sentence = _COMMAND_AT_END.sub(lambda found: "" if found[1] in commands.values() else found[0], text)
    rest = [(name, _SPAN.findall(each)) for name, each in others]
    lines = (
        line
        for number, command in commands.items()
        for line in command_lines(command, vault, [(name, each[number]) for name, each in rest if len(each) == len(spans)])
    )
    return TeamStep(_FRAGMENT.sub(r"\1, see below", sentence).replace("`", ""), tuple(lines))


def command_lines(command: str, vault: str, others: Sequence[tuple[str, str]] = ()) -> Iterator[tuple[str, str]]:
    """Yield a command in its forms; `others` are further vaults, each with its command."""
    if not command.startswith("az "):
        yield RUN, command.replace("curl ", "curl.exe ")
        return
    parsed = parse(command)
    equivalent = find_equivalent(parsed)
    if equivalent is None:
        yield AZ, command
        return
    every = [(vault, parsed), *((name, parse(each)) for name, each in others if each.startswith("az "))]
    path = portal_path(equivalent, parsed, vault)
    loop = parsed.with_values({vault: "$vault"})
    if len({str(each) for _, each in every}) == 1 and (len(every) == 1 or _VAULT_ID not in parsed.options.values()):
        yield AZ, str(_with_id(parsed, vault, in_shell=True))
        yield POWERSHELL, powershell(equivalent, _with_id(parsed, vault, in_shell=False))
        yield PORTAL, path
        return
    if all(each.with_values({name: "$vault"}) == loop for name, each in every):
        yield from _loops(equivalent, loop, [name for name, _ in every])
    else:
        yield from ((AZ, str(each)) for _, each in every[:MOST_LISTED])
        yield from ((POWERSHELL, powershell(equivalent, each)) for _, each in every[:MOST_LISTED])
        if len(every) > MOST_LISTED:
            yield "more", f"the same for {', '.join(name for name, _ in every[MOST_LISTED:])}"
    yield PORTAL, f"{path}, and so for each vault"


def _loops(equivalent: Equivalent, command: AzCommand, vaults: Sequence[str]) -> Iterator[tuple[str, str]]:
    names = list(dict.fromkeys(vaults))[:MOST_IN_LOOP]
    yield AZ, f"for vault in {' '.join(names)}; do {_with_id(command, '$vault', in_shell=True)}; done"
    quoted = ", ".join(f"'{name}'" for name in names)
    yield POWERSHELL, f"foreach ($vault in {quoted}) {{ {powershell(equivalent, _with_id(command, '$vault', in_shell=False))} }}"


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
