"""The table of equivalents: each `az` command of the actions in the portal, and what shows that it worked.

Names of pages and buttons are those of the portals of 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from functools import partial

_PART = re.compile(r'"[^"]*"|\S+')

NO_PAGE = "a Managed HSM: use a command"  # the pages of keys are those of a vault


@dataclass(frozen=True, slots=True)
class AzCommand:
    """A command: `words` such as `keyvault key show`, and its options, each with its values joined by blanks."""

    words: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Equivalent:
    """One `az` command for those who use the portal.

    `portal`, and `check`, the `az` command that shows the change, have `{name}` for the option `--name`, `{vault}`, `{in_vault}` for its option, and
    `{in_scope}` for the pages of a key.
    """

    az: str
    portal: str
    _: KW_ONLY
    given: str = ""  # an option that the command must have, with a part of its value
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


def completed(template: str, command: AzCommand, vault: str) -> str:
    """Return a template of an equivalent with the values of the command; `vault` is the name if the command has none."""
    options = command.options
    option = "--hsm-name" if "--hsm-name" in options else "--vault-name"
    name, key = options.get(option, vault), options.get("--scope", "").partition("/keys/")[2]
    values = {each.removeprefix("--").replace("-", "_"): value for each, value in options.items()}
    in_scope = f" > Objects > Keys > {key}" if key else ""
    return template.format_map({"name": name, "in_scope": in_scope, **values, "vault": name, "in_vault": f"{option} {name}"})


def portal_path(equivalent: Equivalent, command: AzCommand, vault: str) -> str:
    """Return the path in the portal. Managed HSM has few pages."""
    is_page_of_vault = equivalent.portal.startswith("Key vaults > {vault} > Objects")
    return NO_PAGE if is_page_of_vault and "--hsm-name" in command.options else completed(equivalent.portal, command, vault)


# The equivalents of commands about vaults, their networks and their roles.

_of_hsm = partial(Equivalent, given="--hsm-name")
VAULT_PAGE = "Key vaults > {vault}"
_HSM_PAGE = "Azure Key Vault Managed HSMs > {vault}"
# The role may come from a group or from a scope above the vault.
_SHOW_ROLES = 'az role assignment list --assignee {assignee_object_id} --scope "{scope}" --include-inherited --include-groups'

VAULTS: tuple[Equivalent, ...] = (
    Equivalent("keyvault list-deleted", "Key vaults > Manage deleted vaults"),
    _of_hsm(
        "keyvault network-rule add",
        f"{_HSM_PAGE} > Networking > Apply",
        check="az keyvault network-rule list --hsm-name {vault}",
    ),
    Equivalent(
        "keyvault network-rule add",
        "Key vaults > {name} > Settings > Networking > Virtual networks > Add existing virtual networks > Apply",
        given="--subnet",
        check="az keyvault network-rule list --name {name}",
    ),
    Equivalent(
        "keyvault network-rule add",
        "Key vaults > {name} > Settings > Networking > IP address {ip_address} > Apply",
        check="az keyvault network-rule list --name {name}",
    ),
    _of_hsm("keyvault network-rule list", f"{_HSM_PAGE} > Networking"),
    Equivalent(
        "keyvault network-rule list",
        "Key vaults > {name} > Settings > Networking",
    ),
    Equivalent(
        "keyvault recover",
        "Azure Key Vault Managed HSMs > Manage deleted HSMs",
        given="--hsm-name",
        check="az keyvault show --hsm-name {vault} --query properties.tenantId",
    ),
    Equivalent(
        "keyvault recover",
        "Key vaults > Manage deleted vaults > {name} > Recover",
        check="az keyvault show --name {name} --query id",
    ),
    Equivalent(
        "keyvault role assignment create",
        f"{_HSM_PAGE} > Settings > Local RBAC > Add > {{role}}",
        check="az keyvault role assignment list --hsm-name {vault} --assignee-object-id {assignee_object_id}",
    ),
    Equivalent("keyvault role assignment list", f"{_HSM_PAGE} > Settings > Local RBAC"),
    Equivalent(
        "keyvault set-policy",
        "Key vaults > {name} > Access policies > select the principal {object_id} > Edit > Key permissions {key_permissions}",
        check="az keyvault show --name {name} --query properties.accessPolicies",
    ),
    _of_hsm(
        "keyvault show",
        f"{_HSM_PAGE} > Properties",
    ),
    Equivalent(
        "keyvault show",
        "Key vaults > {name} > Access policies",
        given="--query accessPolicies",
    ),
    Equivalent(
        "keyvault show",
        "Key vaults > {name} > Settings > Properties",
    ),
    Equivalent(
        "monitor activity-log list",
        f"{VAULT_PAGE} > Activity log",
    ),
    Equivalent(
        "monitor metrics list",
        f"{VAULT_PAGE} > Monitoring > Metrics > Total Service Api Results, filter StatusCode 429",
    ),
    Equivalent(
        "network private-dns link vnet list",
        "Private DNS zones > {zone_name} > Virtual Network Links",
    ),
    Equivalent(
        "role assignment create",
        f"{VAULT_PAGE}{{in_scope}} > Access control (IAM) > Add > Add role assignment > {{role}}",
        check=_SHOW_ROLES,
    ),
    Equivalent(
        "role assignment list",
        f"{VAULT_PAGE}{{in_scope}} > Access control (IAM) > Role assignments",
    ),
)


_REGISTRATION = "Entra admin center > App registrations > All applications > {id}"
_PRINCIPAL = "Entra admin center > Enterprise apps > All applications > {id}"
_SECRETS = f"{_REGISTRATION} > Certificates & secrets"
_KEYS = f"{VAULT_PAGE} > Objects > Keys"
_VERSION = f"{_KEYS} > {{name}} > {{version}}"

_SHOW_CREDENTIALS = "az ad app credential list --id {id}"
_SHOW_PRINCIPAL = "az ad sp show --id {id} --query accountEnabled"
_SHOW_KEY = "az keyvault key show {in_vault} --name {name} --query attributes"

_attributes = partial(
    Equivalent,
    az="keyvault key set-attributes",
    check="az keyvault key show {in_vault} --name {name} --version {version} --query attributes",
)

ENTRA: tuple[Equivalent, ...] = (
    Equivalent("ad app credential list", _SECRETS),
    Equivalent(
        "ad app credential reset",
        f"{_SECRETS} > Certificates > Upload certificate",
        given="--cert",
        check=f"{_SHOW_CREDENTIALS} --cert",
    ),
    Equivalent(
        "ad app credential reset",
        f"{_SECRETS} > Client secrets > New client secret",
        check=_SHOW_CREDENTIALS,
    ),
    Equivalent(
        "ad app federated-credential list",
        f"{_SECRETS} > Federated credentials",
    ),
    Equivalent("ad app show", _REGISTRATION),
    Equivalent("ad sp create", "no page creates it", check=_SHOW_PRINCIPAL),
    Equivalent(
        "ad sp show",
        f"{_PRINCIPAL} > Properties",
    ),
    Equivalent(
        "ad sp update",
        f"{_PRINCIPAL} > Properties > Enabled for users to sign-in: Yes",
        given="--set",
        check=_SHOW_PRINCIPAL,
    ),
    Equivalent(
        "cloud show",
        "the address of the portal: portal.azure.com is the public cloud",
    ),
    Equivalent(
        "rest",
        "Entra admin center > App registrations > Deleted applications",
    ),
    Equivalent("vm identity show", "Virtual machines > {name} > Security > Identity"),
)
KEYS: tuple[Equivalent, ...] = (
    Equivalent(
        "keyvault key backup",
        f"{_KEYS} > {{name}} > Download Backup",
    ),
    Equivalent("keyvault key create", f"{_KEYS} > Generate/Import", check=_SHOW_KEY),
    Equivalent("keyvault key list", _KEYS),
    Equivalent("keyvault key list-deleted", f"{_KEYS} > Manage deleted keys"),
    Equivalent("keyvault key list-versions", f"{_KEYS} > {{name}}"),
    Equivalent(
        "keyvault key recover",
        f"{_KEYS} > Manage deleted keys > {{name}} > Recover",
        check=_SHOW_KEY,
    ),
    Equivalent(
        "keyvault key restore",
        f"{_KEYS} > Restore Backup",
        check="az keyvault key list {in_vault}",
    ),
    _attributes(given="--enabled", portal=f"{_VERSION} > Enabled: Yes > Apply"),
    _attributes(given="--expires", portal=f"{_VERSION} > Set expiration date > Apply"),
    _attributes(given="--not-before", portal=f"{_VERSION} > Set activation date > Apply"),
    _attributes(
        given="--ops",
        portal=f"{_VERSION} > Permitted operations > Apply",
        check="az keyvault key show {in_vault} --name {name} --version {version} --query key.keyOps",
    ),
    Equivalent(
        "keyvault key show",
        f"{_KEYS} > {{name}}",
    ),
)
EQUIVALENTS: tuple[Equivalent, ...] = (*ENTRA, *KEYS, *VAULTS)


def find_equivalent(command: AzCommand) -> Equivalent | None:
    """Return the row of a command; None if the table has none."""
    return next((equivalent for equivalent in EQUIVALENTS if equivalent.fits(command)), None)
