"""The names in commands: capital words in `code` spans, and what a configuration or a probe has for them.

The words that only the reader knows are in `code_row.WORDS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from exporter.core.names import cloud_of, host_name
from exporter.core.quoting import plain, word
from exporter.core.values import CredentialKind, Vantage
from exporter.knowledge.code_row import END_OF_WORD, START_OF_WORD, reworded

HSM_DOMAIN = ".managedhsm."
_COMMAND = re.compile(r"`[^`]+`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Values of the capital words, and what selects the advice. `vault` is the host name, with an optional port.

    Without target, vault and key, their words stay: a reader has a reason or a code alone.
    """

    target: str
    other_credential: str | None = None  # of the probe, instead of the target's
    vault: str
    key: str
    version: str | None
    client_id: str | None = None
    object_id: str | None = None  # of the principal, if a vault refused it
    config_file: str | None = None
    secret_file: str | None = None
    host: str | None = None  # of the failed request; None: the vault
    proxy: str | None = None  # host:port
    kind: CredentialKind | None = None  # of the sign-in
    aadsts: int | None = None  # the number of Entra ID
    client_address: str | None = None  # that the vault saw and refused
    vantage: Vantage = Vantage.CENTRAL  # whose address that is
    has_page: bool = False  # the body of the failed response is not the service's
    staged: str | None = None  # the credential that follows
    staged_usable: bool = False  # its round trip succeeded
    newest: str | None = None  # the newest version of the key
    modulus: bytes = b""  # of the key's version
    again: str | None = None  # the command that repeats the checks of `doctor`; None: the probe


def fill_names(text: str, names: Names) -> str:
    """Return `text`, of the same reader, with the target's names in its `code` spans. Unknown names stay capital words."""
    return reworded(text, _COMMAND.sub(lambda span: fill_command(span[0], names), text))


def fill_command(command: str, names: Names) -> str:
    """Return a bare command with the target's names."""
    words = _words(names)
    return _pattern(tuple(words)).sub(lambda found: words[found[0]] or found[0], command)


def command_about(names: Names, verb: str = "probe") -> str:
    """Return the command that repeats the probe of a target, or that runs another verb about it."""
    return f"ekm-exporter {verb} {_target(names)}"


def _target(names: Names) -> str:
    credential = "" if names.other_credential is None else f" --credential {plain(names.other_credential, 'CREDENTIAL')}"
    return f"{plain(names.target, 'TARGET')}{credential} --config.file {word(names.config_file or '', 'FILE')}"


def identity_of(vault: str) -> str:
    """Return IDENTITY of the SQL credential. It is the vault's name in the public cloud, else the vault's host name."""
    host, cloud = host_name(vault), cloud_of(vault)
    return host.partition(".")[0] if cloud is not None and cloud.name == "public" and not cloud.managed_hsm else host


@lru_cache(maxsize=2)  # the words of a vault, and those of a Managed HSM
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(START_OF_WORD + "(?:" + "|".join(map(re.escape, words)) + ")" + END_OF_WORD)


def _words(names: Names) -> dict[str, str | None]:
    """Return the value of each word. A longer one that begins with another one comes first."""
    host, modulus = plain(host_name(names.vault), "VAULT.vault.azure.net"), names.modulus[-32:]  # bytes that a query compares
    name, is_hsm, cloud = host.partition(".")[0], HSM_DOMAIN in host, cloud_of(names.vault)
    vault_id = f"$(az keyvault show {'--hsm-name' if is_hsm else '--name'} {name} --query id --output tsv)"
    of_azure = {
        "KEY": names.key,
        "VERSION": names.version,
        "NEWEST": names.newest,
        "NEXT": names.staged,
        "HOST": host_name(names.host or names.vault),
        "PROXY": names.proxy,
        "CLIENT_ID": names.client_id,
        "OBJECT_ID": names.object_id,
        "ADDRESS": names.client_address if names.vantage is Vantage.SQL_HOST else None,
        "SEEN_ADDRESS": names.client_address,
    }
    own = replace(names, other_credential=None)  # the support bundle is of the probe, with the target's own credential
    return {
        "ekm-exporter probe TARGET --bundle": f"{command_about(own)} --bundle" if names.target else None,
        "ekm-exporter probe TARGET": names.again or (command_about(names) if names.target else None),
        "TARGET": _target(names) if names.target else None,
        "VAULT.vault.azure.net": host,
        "DNS_ZONE": None if cloud is None else "privatelink." + cloud.domain.replace("vault.", "vaultcore.", 1),
        "'VAULT'": f"'{identity_of(host)}'",
        **dict.fromkeys(("--vault-name VAULT", "--name VAULT") if is_hsm else (), f"--hsm-name {name}"),
        # Looked up by the command itself, in quotes of sh and of PowerShell.
        "VAULT_ID/keys/KEY": f'"{vault_id}/keys/{plain(names.key, "KEY")}"' if names.vault else None,
        "VAULT_ID": f'"{vault_id}"' if names.vault else None,
        "VAULT": name,
        "SECRET_FILE": word(names.secret_file or "", "SECRET_FILE"),
        "NUMBER": None if names.aadsts is None else str(names.aadsts),
        "MODULUS_END": modulus.hex().upper(),
        "MODULUS_REVERSED": modulus[::-1].hex().upper(),
        **{one: value and plain(value, one) for one, value in of_azure.items()},
    }
