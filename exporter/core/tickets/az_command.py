"""An `az` command as words and options, and its equivalents: Az PowerShell and the portal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from exporter.core import quoting

_BARE = re.compile(r"\$?[\w./:@-]+|\(.*\)\.\w+|\"\$\(.*\"")  # needs no quotes in PowerShell
_PART = re.compile(r'"[^"]*"|\S+')
_LISTS = ("--key-permissions", "--ops")  # options with several values
_VAULT_OPTIONS = ("--hsm-name", "--vault-name")
NO_PAGE = "a Managed HSM: use a command"  # the pages of keys are those of a vault


@dataclass(frozen=True, slots=True)
class AzCommand:
    """A command: `words` such as `keyvault key show`, and its options, each with its values joined by blanks."""

    words: str
    options: Mapping[str, str]

    def __str__(self) -> str:
        pairs = (f"{option} {_quoted(option, value)}".rstrip() for option, value in self.options.items())
        return " ".join(("az", self.words, *pairs))

    def with_values(self, values: Mapping[str, str]) -> AzCommand:
        """Return the command with other values of its options, each by its present value."""
        return replace(self, options={option: values.get(value, value) for option, value in self.options.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent:
    """One `az` command for those who use Az PowerShell or the portal.

    `parameters` have `{}` for the value; an option without one is left out. `properties` are those of a `--query`. `portal`, and
    `check`, the `az` command that shows the change, have `{name}` for the option `--name`, `{vault}`, `{in_vault}` for its option, and
    `{in_scope}` for the pages of a key.
    """

    az: str
    given: str = ""  # an option that the command must have, with a part of its value
    cmdlet: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    portal: str
    check: str = ""

    def fits(self, command: AzCommand) -> bool:
        option, _, value = self.given.partition(" ")
        return self.az == command.words and (not option or (option in command.options and value in command.options[option]))


def parse(text: str) -> AzCommand:
    """Return the command of a line that starts with `az`."""
    words, options, option = list[str](), dict[str, str](), ""
    for part in _PART.findall(text)[1:]:
        if part.startswith("--"):
            option = part
            options[option] = ""
        elif option:
            options[option] = f"{options[option]} {part}".strip(' "')
        else:
            words.append(part)
    return AzCommand(" ".join(words), options)


def powershell(equivalent: Equivalent, command: AzCommand) -> str:
    """Return the command in Az PowerShell."""
    parameters = ((equivalent.parameters.get(option, ""), option, value) for option, value in command.options.items())
    words = [template.format(_quoted_in_powershell(option, value)) for template, option, value in parameters if template]
    line, shown = " ".join((equivalent.cmdlet, *words)), equivalent.properties.get(command.options.get("--query", ""), "")
    return f"({line}).{shown}" if shown else line


def completed(template: str, command: AzCommand, vault: str) -> str:
    """Return a template of an equivalent with the values of the command; `vault` is the name if the command has none."""
    options = command.options
    option = next((each for each in _VAULT_OPTIONS if each in options), "--vault-name")
    values = {each.removeprefix("--").replace("-", "_"): value for each, value in options.items()}
    name = options.get(option, vault)
    key = options.get("--scope", "").partition("/keys/")[2]
    in_scope = f" > Objects > Keys > {key}" if key else ""
    return template.format_map({"name": name, "in_scope": in_scope, **values, "vault": name, "in_vault": f"{option} {name}"})


def portal_path(equivalent: Equivalent, command: AzCommand, vault: str) -> str:
    """Return the path in the portal. Managed HSM has few pages."""
    is_page_of_vault = equivalent.portal.startswith("Key vaults > {vault} > Objects")
    return NO_PAGE if is_page_of_vault and "--hsm-name" in command.options else completed(equivalent.portal, command, vault)


def _quoted(option: str, value: str) -> str:
    if not value or option in _LISTS or value.startswith(("$", '"$')):
        return value
    return f'"{value}"' if " " in value else value


def _quoted_in_powershell(option: str, value: str) -> str:
    if option in _LISTS:
        return "'" + value.replace(" ", "', '") + "'"
    return value if _BARE.fullmatch(value) else quoting.powershell(value)
