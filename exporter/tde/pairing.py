"""The credential with which SQL Server signs in for a key: that of the key's own login.

`sys.asymmetric_keys.sid` leads to the login, but is documented as NULL for keys of a provider. Then the vault of KeyUri, the
logins that were made from keys, and their names have to lead to the credential.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.core.endpoints import vault_host
from exporter.core.quoting import sql_name
from exporter.tde.findings import Kind
from exporter.tde.model import AsymmetricKey, Instance, SqlCredential

MANAGED_IDENTITY = "managed identity"
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# Words that names of keys and logins have in Microsoft's examples; the others distinguish the pairs.
_COMMON = frozenset(
    [
        "key",
        "login",
        "cred",
        "credential",
        "tde",
        "ekm",
        "akv",
        "asy",
        "asym",
        "asymmetric",
        "user",
        "azure",
        "vault",
        "kv",
        "sql",
        "server",
    ]
)


@dataclass(frozen=True, slots=True)
class Pairing:
    """The likeliest credential of a key, with what is wrong or uncertain about it.

    `login` is the login of the key, empty if unknown.
    """

    credential: SqlCredential
    problem: str = ""
    kind: Kind | None = None
    remark: str = ""
    login: str = ""


def is_managed(credential: SqlCredential) -> bool:
    """Whether SQL Server signs in with a managed identity; then the name is the vault's."""
    return credential.identity.strip().lower() == MANAGED_IDENTITY


def vault_of(credential: SqlCredential) -> str | None:
    """Return the vault's full host name, None if the identity is none."""
    try:
        return vault_host(credential.name if is_managed(credential) else credential.identity)
    except ValueError:
        return None


def credentials_of(instance: Instance, key: AsymmetricKey) -> list[SqlCredential]:
    """Return the credential of the key's login, or all of its provider if that is unknown."""
    named = [one for one in instance.credentials if key.credential and one.name == key.credential]
    return named or [one for one in instance.credentials if one.provider == key.provider]


def pair(instance: Instance, key: AsymmetricKey, vault: str | None) -> Pairing:
    """Return the credential of the key, whose provider has one; `vault` is that of its KeyUri, None if unknown."""
    found = credentials_of(instance, key)
    if found[0].name == key.credential:
        return Pairing(found[0], login=key.login)
    likely = [one for one in found if vault is not None and vault_of(one) == vault] or found
    if key.credential:
        return _guessed(likely, f"[{key.credential}] is not in the list of credentials")
    if key.login:
        return _missing(likely, f"its login [{key.login}] has no credential of the provider", key.login)
    if key.has_sid:
        return _missing(likely, "no login was made from it", None, key.name)
    if "logins" in instance.errors:
        return _guessed(likely, f"the logins are unknown: {instance.errors['logins']}")
    return _from_logins(instance, key, likely)


def login_of(instance: Instance, key: AsymmetricKey) -> str:
    """Return the login of a key by its SID, else by their names; empty if unknown."""
    return key.login if key.login or key.has_sid else pairs_by_name(*_without_sid(instance, key)).get(key.name, "")


def _without_sid(instance: Instance, key: AsymmetricKey) -> tuple[list[str], list[str]]:
    """Return the keys of its provider without a SID, and the logins that may be theirs."""
    keys = [one.name for one in instance.keys if one.provider == key.provider and not one.login and not one.has_sid]
    return keys, list(dict.fromkeys(one.name for one in instance.logins))


def _from_logins(instance: Instance, key: AsymmetricKey, likely: Sequence[SqlCredential]) -> Pairing:
    """Return the credential for a key without a SID."""
    held = {one.name: one.credential for one in instance.logins if one.provider == key.provider}
    keys, logins = _without_sid(instance, key)
    if not logins:
        return _missing(likely, "no login was made from an asymmetric key", None, key.name)
    here = [one for one in likely if one.name in held.values()]
    if len(here) == 1 and len(held) == len(logins):
        return Pairing(here[0])
    login = pairs_by_name(keys, logins).get(key.name)
    if login is None:
        order = dict(zip(keys, logins, strict=False))
        likely = sorted(here or likely, key=lambda one: one.name != held.get(order[key.name]))
        return _guessed(likely, f"which of the logins {_named(logins)} belongs to it is unknown")
    mine = [one for one in likely if one.name == held.get(login)]
    if not mine:
        return _missing(likely, f"its login [{login}] has no credential of the provider for its vault", login)
    remark = f"login [{login}] belongs to it by their names: SQL Server shows no SID of the key" if len(keys) > 1 else ""
    return Pairing(mine[0], remark=remark, login=login)


def pairs_by_name(keys: Sequence[str], logins: Sequence[str]) -> dict[str, str]:
    """Return the login of each key with the same distinctive words: `TDE_KEY2` and `TDE_Login2`.

    One key and one login are a pair, also if they are what is left of pairs.
    """
    found: dict[str, str] = {}
    for key in keys:
        same = [login for login in logins if _words(login) == _words(key)]
        if len(same) == 1 and sum(_words(other) == _words(key) for other in keys) == 1:
            found[key] = same[0]
    rest = [key for key in keys if key not in found], [login for login in logins if login not in found.values()]
    if len(rest[0]) == len(rest[1]) == 1:
        found[rest[0][0]] = rest[1][0]
    return found


def _words(name: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORDS.findall(name)) - _COMMON


def _named(names: Sequence[str]) -> str:
    return ", ".join(sql_name(name, "NAME") for name in names)


def _missing(likely: Sequence[SqlCredential], cause: str, login: str | None, key: str = "") -> Pairing:
    """SQL Server cannot sign in, whatever other logins have."""
    new = "" if login is not None else f"CREATE LOGIN [LOGIN] FROM ASYMMETRIC KEY {sql_name(key, 'KEY')}; "
    which = likely[0].name if len(likely) == 1 else ""
    fix = f"{new}ALTER LOGIN {sql_name(login or '', 'LOGIN')} ADD CREDENTIAL {sql_name(which, 'CREDENTIAL')}"
    several = f" (CREDENTIAL is one of {_named([one.name for one in likely])})" if len(likely) > 1 else ""
    problem = f"{cause}, so SQL Server cannot sign in to open databases: {fix}{several}"
    return Pairing(likely[0], problem, Kind.CREDENTIAL_MISSING, login=login or "")


def new_credential(key: AsymmetricKey) -> str:
    """Return the statements for a key whose provider has no credential."""
    provider = sql_name(key.provider, "PROVIDER")
    create = f"CREATE CREDENTIAL [CREDENTIAL] WITH IDENTITY = 'VAULT', SECRET = 'SECRET' FOR CRYPTOGRAPHIC PROVIDER {provider}"
    return f"{create}; ALTER LOGIN {sql_name(key.login, 'LOGIN')} ADD CREDENTIAL [CREDENTIAL]"


def _guessed(likely: Sequence[SqlCredential], cause: str) -> Pairing:
    others = _named([one.name for one in likely])
    problem = f"{cause}, so its credential is a guess of {others}: the target has the first. Each login needs a credential of its key's vault"
    return Pairing(likely[0], problem, Kind.CREDENTIAL_GUESSED)
