"""The actions of a failure as steps for another team: its part alone, with each command in three forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from exporter.core.codes.readers import reader_of
from exporter.core.endpoints import cloud_of
from exporter.core.quoting import plain
from exporter.core.tickets.az_command import AzCommand, completed, parse, portal_path, powershell
from exporter.core.tickets.equivalents import find_equivalent
from exporter.core.tickets.team import TEAMS, TITLES, Team

MOST_STEPS: Final = 6
AZ, POWERSHELL, PORTAL, RUN, KQL, OLD_KQL = "az", "PowerShell", "portal", "run", "KQL", "or"
_SPAN = re.compile(r"`([^`]+)`")
_COMMAND_AT_END = re.compile(r": `([^`]+)`(?=\.(?: [A-Z]|$))")
_FIRST_WORDS = ("az ", "ekm-exporter script ", "curl ", "Resolve-DnsName ", "Test-NetConnection ", "openssl ", "nslookup ")
_CLOUDS: Final = {"us_government": "AzureUSGovernment", "china": "AzureChinaCloud"}  # the public one is the default
_PAGE = " > "  # between the names of a path in the portal
_VAULT_ID = "VAULT_ID"
_VAULT_ID_IS = re.compile(r"^VAULT_ID is the output of `[^`]+`\. ")
_ALLOW_EACH = "Allow the public address of each SQL Server host"
_ALLOW_IF_REFUSED = "If it refuses SQL Server too, allow the public address of the SQL Server host"
_FRAGMENT = re.compile(r"^((?:If|For) (?:[^,:.]|\.(?!\s|$))*)(?=\.(?:\s|$)|$)")


@dataclass(frozen=True, slots=True)
class TeamStep:
    """One step: a sentence, and lines of a label and a command or path."""

    text: str
    lines: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a failure was observed: the host's name, and whether SQL Server runs there, or logged the failure itself."""

    host: str
    is_sql_host: bool
    is_logged: bool = False

    def named_in(self, text: str) -> str:
        """Return an action in which this place has its name, for readers elsewhere."""
        allow = _ALLOW_EACH if self.is_sql_host or self.is_logged else _ALLOW_IF_REFUSED
        there = "" if self.is_sql_host else f"on {self.host} and "
        for words, shown in (
            ("here and on the SQL Server host", f"{there}on the SQL Server host"),
            ("here and ", f"on {self.host} and "),
            ("this host", self.host),
            ("this network", f"the network of {self.host}"),
            ("this exporter", self.host),
            ("If the vault refuses there too, allow the address that the probe shows there", allow),
            ("the detail of the probe", "the evidence above"),
            ("the detail of the step", "the evidence above"),
        ):
            text = text.replace(words, shown)
        return text


def team_steps(team: Team, actions: Sequence[str], place: Place, vault: str) -> list[TeamStep]:
    """Return the steps of a team, then those that it forwards to another one. `actions` have the names of `vault` filled in."""
    readers = [(text, reader) for text in actions if (reader := _reader(text, team)) is not None]
    readers.sort(key=lambda each: each[1] is not team)
    steps = ((reader, _step(text, place, vault)) for text, reader in readers)
    found = (step if reader is team else replace(step, text=f"For {TITLES[reader]}: {step.text}") for reader, step in steps)
    return list(islice(found, MOST_STEPS))


def _reader(action: str, team: Team) -> Team | None:
    """Return the team that takes an action of a ticket for `team`; None if the DBA or the exporter's operator does."""
    reader = reader_of(action)
    return team if reader is None else TEAMS.get(reader)


def _step(text: str, place: Place, vault: str) -> TeamStep:
    text = place.named_in(_VAULT_ID_IS.sub("", text))
    commands = [each for each in _SPAN.findall(text) if each.startswith(_FIRST_WORDS) or _PAGE in each]
    sentence = _COMMAND_AT_END.sub(lambda found: "" if found[1] in commands else found[0], text)
    lines = (line for command in commands for line in command_lines(command, vault))
    return TeamStep(_FRAGMENT.sub(r"\1, see below", sentence).replace("`", ""), tuple(lines))


def command_lines(command: str, vault: str) -> Iterator[tuple[str, str]]:
    """Yield a command in its forms."""
    if _PAGE in command:
        yield PORTAL, command
        return
    if command.startswith("ekm-exporter script "):
        yield KQL, command
        return
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
    vault = plain(vault, "VAULT")
    with_az, with_module = (
        f"$(az keyvault show --name {vault} --query id --output tsv)",
        f"(Get-AzKeyVault -VaultName {vault}).ResourceId",
    )
    scopes = (value for value in command.options.values() if value.startswith(_VAULT_ID))
    scope = next(scopes, _VAULT_ID)
    rest = scope.removeprefix(_VAULT_ID)
    looked_up = f'"{with_az}{rest}"' if in_shell else f'"$({with_module}){rest}"' if rest else with_module
    return command.with_values({scope: looked_up})


def scope_lines(team: Team, vault: str) -> Iterator[tuple[str, str]]:
    """Yield what selects cloud and subscription before the commands of a team; Entra ID has no subscriptions."""
    cloud = cloud_of(vault)
    name = None if cloud is None else _CLOUDS.get(cloud.name)
    of_vault = team is not Team.IDENTITY
    first = [
        *((f"az cloud set --name {name}", "az login") if name else ()),
        *(("az account set --subscription SUBSCRIPTION",) if of_vault else ()),
    ]
    if first:
        yield f"first, {AZ}", "; ".join(first)
        yield (
            f"or {POWERSHELL}",
            f"Connect-AzAccount{f' -Environment {name}' if name else ''}{' -Subscription SUBSCRIPTION' if of_vault else ''}",
        )


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
