"""Actions for one failure of one target: by reason, with the target's own names.

Pages and the output of `probe` use it. A reason without a row gets the actions of its code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from exporter.core.addresses import is_private
from exporter.core.codes import BY_CODE
from exporter.core.codes.advice_kinds import BY_KIND
from exporter.core.codes.advice_network import NETWORK
from exporter.core.codes.advice_sign_in import AT_SIGN_IN, SIGN_IN
from exporter.core.codes.advice_texts import FIND_OBJECT_ID, PROBE
from exporter.core.codes.advice_vault import FIREWALL_OF_THE_EXPORTER, FIREWALL_OF_THIS_HOST, ON_HSM, PRIVATE_FIREWALL, VAULT
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.codes.words import END_OF_WORD, START_OF_WORD
from exporter.core.endpoints import cloud_of
from exporter.core.faults import Reason
from exporter.core.model import CredentialKind, Step, Vantage

_ONLY_PROBE = f": {PROBE}."  # the end of an action that only requests the probe just made
_HSM_DOMAIN = ".managedhsm."
_SPAN = re.compile(r"`[^`]+`")
LINE_LIMIT = 300  # characters of `action_line`

# For a code with several causes, the reason selects the actions.
BY_REASON: Mapping[Reason, tuple[str, ...]] = MappingProxyType({**VAULT, **SIGN_IN, **NETWORK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Values of the capital words, and what selects the advice.

    `vault` is the host name, with an optional port.
    """

    target: str
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


def actions(code: int, reason: Reason | None, *, ready: bool | None, names: Names, step: Step | None = None) -> tuple[str, ...]:
    """Return the actions in order, as texts with `code` spans.

    The result is empty only for a code without actions. With the verdict ready, the restart warning is left out. `step` is
    the failed one. A known object id is not to be looked up. Raises KeyError for an unknown code.
    """
    spared = {DO_NOT_RESTART: ready, FIND_OBJECT_ID: names.object_id}
    return tuple(filled(each, names) for each in _chosen(code, reason, step, names) if not spared.get(each))


def action_line(code: int, reason: Reason | None, names: Names, *, step: Step | None = None) -> str:
    """Return the first action as one line of at most 300 characters, without backticks; empty if there is none.

    It fits a label: what a server reported (object id, address, number of Entra ID) stays a capital word. If the line is
    too long, it ends before the word or command that does not fit, and a hint follows. Raises KeyError for an unknown code.
    """
    text = next(iter(_chosen(code, reason, step, _configured(names))), "")
    return one_line(text, names, f"... All of it: ekm-exporter explain {reason or code}")


def one_line(action: str, names: Names, hint: str) -> str:
    """Return an action as a line of at most 300 characters, without what a server reported; `hint` ends a cut one."""
    text = filled(action, _configured(names))
    line = " ".join(text.replace("`", "").split())
    return line if len(line) <= LINE_LIMIT else _cut(text, hint)


def _configured(names: Names) -> Names:
    return replace(names, object_id=None, client_address=None, aadsts=None)


def _cut(text: str, hint: str) -> str:
    """Return the beginning of a text and the hint. A cut command would do something else, so it is left out whole."""
    kept = text[: LINE_LIMIT - len(hint)]
    kept = kept.rpartition("`")[0] if kept.count("`") % 2 else kept.rpartition(" ")[0]
    return " ".join(kept.replace("`", "").split()).rstrip(" :;,.") + hint


def _chosen(code: int, reason: Reason | None, step: Step | None, names: Names) -> tuple[str, ...]:
    general = general_actions(code)
    return general if reason is None else advice(reason, step, names) or general


def first_action(code: int) -> str:
    """Return the first action that adds to a probe's outcome; empty if there is none.

    Raises KeyError for an unknown code.
    """
    return next(iter(general_actions(code)), "")


def general_actions(code: int) -> tuple[str, ...]:
    """Return the actions of a code, without a first one that only requests the probe just made.

    Raises KeyError for an unknown code.
    """
    general = BY_CODE[code].actions
    return general[1:] if len(general) > 1 and general[0].endswith(_ONLY_PROBE) else general


def advice(reason: Reason, step: Step | None, names: Names) -> tuple[str, ...]:
    """Return the actions of a reason, before names are filled in; empty if its codes have them."""
    if reason is Reason.FORBIDDEN_FIREWALL and names.client_address:
        return _of_the_firewall(names.client_address, names.vantage)
    at_sign_in = AT_SIGN_IN.get(reason) if step is Step.TOKEN else None
    of_kind = BY_KIND.get((reason, names.kind)) if names.kind is not None and step in (Step.TOKEN, None) else None
    on_hsm = ON_HSM.get(reason) if _HSM_DOMAIN in names.vault else None
    return of_kind or at_sign_in or on_hsm or BY_REASON.get(reason, ())


def _of_the_firewall(address: str, vantage: Vantage) -> tuple[str, ...]:
    if is_private(address):
        return PRIVATE_FIREWALL
    return FIREWALL_OF_THIS_HOST if vantage is Vantage.SQL_HOST else FIREWALL_OF_THE_EXPORTER


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
    hsm_words = {"--vault-name VAULT": f"--hsm-name {name}", "--name VAULT": f"--hsm-name {name}"}
    words = {
        "TARGET": f"{names.target} --config.file {_path(names.config_file) or 'FILE'}",
        "CLIENT_ID": names.client_id or "CLIENT_ID",
        "OBJECT_ID": names.object_id or "OBJECT_ID",
        "SECRET_FILE": _path(names.secret_file) or "SECRET_FILE",
        "VAULT.vault.azure.net": host,
        "'VAULT'": f"'{identity_of(names.vault)}'",
        **(hsm_words if _HSM_DOMAIN in host else {}),
        "HOST": (names.host or host).partition(":")[0],
        "PROXY": names.proxy or "PROXY",
        "NUMBER": "NUMBER" if names.aadsts is None else str(names.aadsts),
        "ADDRESS": (names.client_address if names.vantage is Vantage.SQL_HOST else None) or "ADDRESS",
        "SEEN_ADDRESS": names.client_address or "SEEN_ADDRESS",
        "VAULT": name,
        "KEY": names.key,
        "VERSION": names.version or "VERSION",
    }
    pattern = START_OF_WORD + "(?:" + "|".join(map(re.escape, words)) + ")" + END_OF_WORD
    return re.sub(pattern, lambda found: words[found[0]], span)


def identity_of(vault: str) -> str:
    """Return IDENTITY of the SQL credential.

    It is the vault's name in the public cloud, else the vault's host name.
    """
    host, cloud = vault.partition(":")[0], cloud_of(vault)
    plain = cloud is not None and cloud.name == "public" and not cloud.managed_hsm
    return host.partition(".")[0] if plain else host
