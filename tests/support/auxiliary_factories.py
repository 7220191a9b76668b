"""A configuration with every auxiliary probe, and the facts of its key."""

from dataclasses import replace
from datetime import date

from exporter.config.model import Config, Credential, CredentialKind, Module, Retained, Settings, Target
from exporter.core.model import Generation, KeyFacts

PINNED, OLD, OLDER = "a" * 32, "b" * 32, "c" * 32
TODAY = date(2026, 11, 24)
KEY = KeyFacts(name="Key0", version=PINNED, kid="unused", kty="RSA", size_bits=2048, modulus=b"n", exponent=b"e", enabled=True)
TARGET = Target(
    name="t",
    vault="contoso.vault.azure.net",
    key_name="Key0",
    key_version=PINNED,
    credential="now",
    module="default",
    interval=60.0,
    timeout=10.0,
    generation=Generation.CURRENT,
    generation_declared=True,
    next_credential="staged",
    retained_versions=(
        Retained(key_name="Key0", key_version=OLD, vault="contoso.vault.azure.net", credential="now"),
        Retained(key_name="Archive", key_version=OLDER, vault="old.vault.azure.net", credential="old", until=date(2033, 1, 1)),
    ),
    recovery_vault="contoso-dr.vault.azure.net",
    recovery_credential="dr",
)
NAMES = ("now", "staged", "old", "dr")


def a_config(target=TARGET, *, module=None):
    return Config(
        settings=Settings(),
        credentials={name: Credential(name=name, kind=CredentialKind.CLIENT_SECRET) for name in NAMES},
        modules={"default": module or Module(name="default")},
        targets={target.name: target},
    )


def plain(**changes):
    """The target with only these auxiliary probes."""
    bare = {"next_credential": None, "retained_versions": (), "recovery_vault": None, "recovery_credential": None}
    return replace(TARGET, **(bare | changes))
