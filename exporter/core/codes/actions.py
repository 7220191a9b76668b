"""What to do about one failure of one target: the catalogue's actions, narrowed to the reason and with real names in them.

For: places that have a probe's outcome before them, where "see which step failed" is answered already and a command can be
copied as it stands.
Not for: what a code means in general (its row says that), metric labels, or judging a failure (see `classify`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.core.codes import BY_CODE
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.faults import Reason

_PROBE = "`ekm-exporter probe TARGET`"
_REPEAT = f"Then repeat the probe: {_PROBE}."
_ASKED = f": {_PROBE}."  # ends an action that only asks for the probe whose outcome the reader has
_HSM_DOMAIN = ".managedhsm."
_SPAN = re.compile(r"`[^`]+`")
_ATTRIBUTES = "az keyvault key set-attributes --vault-name VAULT --name KEY --version VERSION"

# Where one code has several causes with different remedies and the reason tells which it is.
BY_REASON: Mapping[Reason, tuple[str, ...]] = MappingProxyType(
    {
        Reason.FORBIDDEN_RBAC: (
            (
                "Give the application its role on the vault again: `Key Vault Crypto Service Encryption User` (on a Managed HSM: "
                "`Managed HSM Crypto Service Encryption User`). It takes minutes to work."
            ),
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_POLICY: (
            (
                "Give the application its key permissions again, with any others it had, since this replaces them all: "
                "`az keyvault set-policy -n VAULT --spn CLIENT_ID --key-permissions get wrapKey unwrapKey`."
            ),
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_FIREWALL: (
            f"Run {_PROBE} on the SQL Server host: only if that is refused too is SQL Server in danger.",
            "Let the address in: `az keyvault network-rule add --name VAULT --ip-address IP`.",
            DO_NOT_RESTART,
        ),
        Reason.FORBIDDEN_CONNECTION: (
            (
                "The vault takes private endpoints only. On the SQL Server host, see that its name leads to a private address: "
                "`Resolve-DnsName VAULT.vault.azure.net`."
            ),
            "If it does not, check the endpoint's DNS record and that its zone is linked to this network.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_DISABLED: (
            f"Enable the key version again: `{_ATTRIBUTES} --enabled true`.",
            _REPEAT,
            "Find out who disabled it, before it happens again: the vault's audit log names the caller.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_EXPIRED: (
            f"Move its date: `{_ATTRIBUTES} --expires 2030-01-01T00:00:00Z`. An expired key still unwraps, but no longer wraps.",
            _REPEAT,
            "Then plan the rotation to a new key version; until the date is moved, none can succeed.",
            DO_NOT_RESTART,
        ),
        Reason.KEY_NOT_YET_VALID: (
            f"Move its date: `{_ATTRIBUTES} --not-before 2020-01-01T00:00:00Z`. Before it the key unwraps, but does not wrap.",
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.FEDERATION_UNMATCHED: (
            (
                "See which issuer, subject and audience the application expects, and compare them with the pod's service account: "
                "`az ad app federated-credential list --id CLIENT_ID`."
            ),
            _REPEAT,
            DO_NOT_RESTART,
        ),
        Reason.SECRET_EXPIRED: BY_CODE[3303].actions[1:],
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What stands in place of the capital words. `vault` is the host name, perhaps with a port."""

    target: str
    vault: str
    key: str
    version: str | None


def actions(code: int, reason: Reason | None, *, ready: bool | None, names: Names) -> tuple[str, ...]:
    """In the order to take them, as texts with `code` spans; empty only where the code's row has none.

    With the verdict ready, nothing warns of a restart. Raises KeyError where no such code exists.
    """
    general = _without_probe(BY_CODE[code].actions)
    chosen = general if reason is None else BY_REASON.get(reason, general)
    return tuple(filled(each, names) for each in chosen if each != DO_NOT_RESTART or not ready)


def first_action(code: int) -> str:
    """The first action that adds to a probe's outcome; empty if the code has none. Raises KeyError for an unknown code."""
    return next(iter(_without_probe(BY_CODE[code].actions)), "")


def _without_probe(general: tuple[str, ...]) -> tuple[str, ...]:
    """The actions without a first one that only asks for the probe whose outcome is known."""
    return general[1:] if len(general) > 1 and general[0].endswith(_ASKED) else general


def filled(text: str, names: Names) -> str:
    """`text` with the target's own names inside its `code` spans; what is not known stays a capital word."""
    return _SPAN.sub(lambda span: _command(span[0], names), text)


def _command(span: str, names: Names) -> str:
    host = names.vault.partition(":")[0]
    name = host.partition(".")[0]
    of_hsm = {"--vault-name VAULT": f"--hsm-name {name}", "--name VAULT": f"--hsm-name {name}", "'VAULT'": f"'{host}'"}
    words = {
        "TARGET": f"{names.target} --config.file FILE",
        "VAULT.vault.azure.net": host,
        **(of_hsm if _HSM_DOMAIN in host else {}),
        "VAULT": name,
        "KEY": names.key,
        "VERSION": names.version or "VERSION",
    }
    pattern = r"(?<![\w-])(?:" + "|".join(map(re.escape, words)) + r")(?![\w-])"
    return re.sub(pattern, lambda found: words[found[0]], span)
