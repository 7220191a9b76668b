"""Actions for one failure of one target: by reason, with the target's own names.

Pages and the output of `probe` use it. A reason without a row gets the actions of its code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.codes import BY_CODE
from exporter.core.codes.shared import DO_NOT_RESTART, FIND_INTERCEPTION
from exporter.core.faults import Reason

_PROBE = "`ekm-exporter probe TARGET`"
_REPEAT = f"Then repeat the probe: {_PROBE}."
_ONLY_PROBE = f": {_PROBE}."  # the end of an action that only requests the probe just made
_HSM_DOMAIN = ".managedhsm."
_SPAN = re.compile(r"`[^`]+`")
_ATTRIBUTES = "az keyvault key set-attributes --vault-name VAULT --name KEY --version VERSION"
_KEY_VAULT_APPLICATION = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
_SERVICE_ROLE = "Managed HSM Crypto Service Encryption User"
_CLOCK = "Synchronise the clock of this host: `w32tm /resync` on Windows, `chronyc makestep` on Linux."
_SIGN_IN_AGAIN = (_REPEAT, DO_NOT_RESTART)
_SHOW_TENANT = "Show the vault's tenant: `az keyvault show --name VAULT --query properties.tenantId`."

# For a code with several causes, the reason selects the actions.
BY_REASON: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.FORBIDDEN_RBAC: (
            (
                "Assign the role to the application on the vault: `Key Vault Crypto Service Encryption User`. It takes minutes to "
                "become active."
            ),
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_POLICY: (
            (
                "Set the key permissions of the application, and include its other ones, because this replaces them all: "
                "`az keyvault set-policy -n VAULT --spn CLIENT_ID --key-permissions get wrapKey unwrapKey`."
            ),
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_FIREWALL: (
            f"Run {_PROBE} on the SQL Server host: the firewall may allow that host although it blocks this one.",
            "If the vault refuses there too, allow the address: `az keyvault network-rule add --name VAULT --ip-address IP`.",
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_CONNECTION: (
            (
                "The vault only accepts private endpoints. On the SQL Server host, check that its name resolves to a private "
                "address: `Resolve-DnsName VAULT.vault.azure.net`."
            ),
            "If it is public, link the private DNS zone of the endpoint to this network.",
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_NSP: (
            "Add this network to an inbound access rule of the network security perimeter, or use a private endpoint.",
            "Trusted Azure services are blocked too: the perimeter overrides that exception.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.KEY_DISABLED: (
            f"Enable the key version: `{_ATTRIBUTES} --enabled true`.",
            _REPEAT,
            "Find out who disabled it: the vault's audit log names the caller.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_EXPIRED: (
            f"Extend its expiry: `{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z`. An expired key still unwraps but does not wrap.",
            _REPEAT,
            "Then plan the rotation to a new key version. Rotation fails until the expiry is extended.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_NOT_YET_VALID: (
            f"Set an earlier start: `{_ATTRIBUTES} --not-before 2020-01-01T00:00:00Z`. Until then the key unwraps but does not wrap.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.FEDERATION_UNMATCHED: (
            (
                "Compare issuer, subject and audience with the pod's service account: "
                "`az ad app federated-credential list --id CLIENT_ID`."
            ),
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.SECRET_EXPIRED: BY_CODE[3303].actions[1:],
        Reason.APPLICATION_NOT_IN_TENANT: (
            "Create the application's service principal in the vault's tenant: `az ad sp create --id CLIENT_ID`.",
            "Do not create a new secret: the secret is not the cause.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.APPLICATION_ID_INVALID: (
            "Check that the application exists: `az ad app show --id CLIENT_ID --query appId`.",
            "If it was deleted, list the deleted ones: `az ad app list --all --query [].appId`. An owner can restore it for 30 days.",
            "If the client id is wrong, correct it in the configuration and in the SQL credential.",
            *_SIGN_IN_AGAIN,
        ),
        Reason.RESOURCE_PRINCIPAL_DISABLED: (
            f"Enable the Key Vault service principal: `az ad sp update --id {_KEY_VAULT_APPLICATION} --set accountEnabled=true`.",
            "Do not create a new secret: the secret is not the cause.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.RESOURCE_PRINCIPAL_MISSING: (
            f"Create the Key Vault service principal in the tenant: `az ad sp create --id {_KEY_VAULT_APPLICATION}`.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_REJECTED: (
            "Read the vault's sentence in the detail of the step. If it names no cause, retry in ten minutes.",
            "Check Azure's status page: https://azure.status.microsoft.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_WRONG_ISSUER: (
            _SHOW_TENANT,
            "Compare it with `tenant_id` of the credential. Use an application in the vault's tenant.",
            "After a subscription move, update the vault's tenant and assign the permissions again.",
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_EXPIRED: (_CLOCK, _REPEAT, DO_NOT_RESTART),
        Reason.TOKEN_REVOKED: (
            "Check whether the application was disabled: `az ad sp show --id CLIENT_ID --query accountEnabled`.",
            "Check the Conditional Access policies for workload identities: continuous access evaluation revoked the token.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_UNVERIFIABLE: (
            "Wait some minutes: the vault could not fetch the keys that verify tokens.",
            "Check Azure's status page: https://azure.status.microsoft.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.TOKEN_WRONG_AUDIENCE: (
            "Check that the vault's host name belongs to this cloud, and that no proxy rewrites the vault's 401.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.SECRET_UNREADABLE: (
            "Check that the secret file exists and has one line: `SECRET_FILE`.",
            "Show its permissions: `icacls SECRET_FILE`, on Linux `ls -l SECRET_FILE`. The exporter's service account needs read permission.",
            _REPEAT,
        ),
        Reason.PROXY_AUTH: (
            "Allow the vault and Entra ID on the proxy without a password: the connector sends none.",
            "For the exporter only, set `username` and `password_file` of `proxy` in the module.",
            DO_NOT_RESTART,
        ),
        Reason.PROXY_STATUS: (
            "Allow CONNECT to port 443 of the vault and of Entra ID on the proxy. The proxy refused, not the vault.",
            "Compare with the proxy of SQL Server's service account, which may be another one.",
            DO_NOT_RESTART,
        ),
        Reason.PROXY_INVALID: (
            "Check host and port of `proxy` in the module. Another service than a proxy responds there, or a login page does.",
            "Show the response: `curl -v -p -x http://PROXY_HOST:PORT https://VAULT.vault.azure.net`.",
            "Compare with the proxy of SQL Server's service account, which may be another one.",
            DO_NOT_RESTART,
        ),
        Reason.UNEXPECTED_STATUS: (
            FIND_INTERCEPTION,
            "Compare the response from another network: Key Vault and Entra ID do not send this status.",
            DO_NOT_RESTART,
        ),
        Reason.SCRAPE_TIMEOUT: (
            "Increase `scrape_timeout` of the Prometheus job above the timeout of the target.",
            _REPEAT,
        ),
        Reason.INTERNAL: (
            "Report the error with the exporter's log and the support bundle: `ekm-exporter bundle TARGET`.",
            "The exporter failed. Check SQL Server's own access with its error log.",
        ),
        Reason.SECRET_TIMEOUT: (
            "Check the disk or share with the secret file: reading it took longer than the timeout of the target.",
            _REPEAT,
        ),
    }
)
_HSM_ROLE = (
    f"Assign the role `{_SERVICE_ROLE}` to the application: "
    "`az keyvault role assignment create --hsm-name VAULT --assignee CLIENT_ID --scope /keys --role ROLE`."
)
# A Managed HSM has roles of its own and no access policies.
ON_HSM: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.FORBIDDEN_RBAC: (_HSM_ROLE, _REPEAT, DO_NOT_RESTART),
        Reason.FORBIDDEN_POLICY: (_HSM_ROLE, _REPEAT, DO_NOT_RESTART),
        Reason.FORBIDDEN: (
            _HSM_ROLE,
            "If the firewall of the HSM blocks the caller: `az keyvault network-rule add --hsm-name VAULT --ip-address IP`.",
            "If the key version is disabled: `az keyvault key set-attributes --hsm-name VAULT --name KEY --version VERSION --enabled true`.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Values of the capital words. `vault` is the host name, with an optional port."""

    target: str
    vault: str
    key: str
    version: str | None
    client_id: str | None = None
    config_file: str | None = None
    secret_file: str | None = None


def actions(code: int, reason: Reason | None, *, ready: bool | None, names: Names) -> tuple[str, ...]:
    """Return the actions in order, as texts with `code` spans.

    The result is empty only for a code without actions. With the verdict ready, the restart warning is left out. Raises
    KeyError for an unknown code.
    """
    general = _without_probe(BY_CODE[code].actions)
    chosen = general if reason is None else _advice(reason, names) or general
    return tuple(filled(each, names) for each in chosen if each != DO_NOT_RESTART or not ready)


def first_action(code: int) -> str:
    """Return the first action that adds to a probe's outcome; empty if there is none.

    Raises KeyError for an unknown code.
    """
    return next(iter(_without_probe(BY_CODE[code].actions)), "")


def _without_probe(general: tuple[str, ...]) -> tuple[str, ...]:
    """Return the actions without a first one that only requests the probe just made."""
    return general[1:] if len(general) > 1 and general[0].endswith(_ONLY_PROBE) else general


def _advice(reason: Reason, names: Names) -> tuple[str, ...] | None:
    on_hsm = ON_HSM.get(reason) if _HSM_DOMAIN in names.vault else None
    return on_hsm or BY_REASON.get(reason)


def filled(text: str, names: Names) -> str:
    """Return `text` with the target's names in its `code` spans.

    Unknown names stay capital words.
    """
    return _SPAN.sub(lambda span: _command(span[0], names), text)


def _path(path: str | None) -> str | None:
    """Return a path as one word of a command; None if a `code` span cannot hold it."""
    if path is None or "`" in path or not path.isprintable():
        return None
    return f'"{path}"' if " " in path else path


def _command(span: str, names: Names) -> str:
    host = names.vault.partition(":")[0]
    name = host.partition(".")[0]
    hsm_words = {"--vault-name VAULT": f"--hsm-name {name}", "--name VAULT": f"--hsm-name {name}", "'VAULT'": f"'{host}'"}
    words = {
        "TARGET": f"{names.target} --config.file {_path(names.config_file) or 'FILE'}",
        "CLIENT_ID": names.client_id or "CLIENT_ID",
        "SECRET_FILE": _path(names.secret_file) or "SECRET_FILE",
        "VAULT.vault.azure.net": host,
        **(hsm_words if _HSM_DOMAIN in host else {}),
        "VAULT": name,
        "KEY": names.key,
        "VERSION": names.version or "VERSION",
    }
    pattern = r"(?<![\w-])(?:" + "|".join(map(re.escape, words)) + r")(?![\w-])"
    return re.sub(pattern, lambda found: words[found[0]], span)
