"""A configuration with every auxiliary probe, and the facts of its key."""

from datetime import date

from exporter.config.settings import Module, Retained
from exporter.core.values import Generation
from tests.support import factories
from tests.support.factories import a_credential, a_key, a_target
from tests.support.values import replace

PINNED, OLD, OLDER = "a" * 32, "b" * 32, "c" * 32
TODAY = date(2026, 11, 24)
KEY = a_key(name="Key0", version=PINNED)
TARGET = a_target(
    "t",
    key_name="Key0",
    key_version=PINNED,
    credential="now",
    generation=Generation.CURRENT,
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
    return factories.a_config(target, credentials=map(a_credential, NAMES), modules=(module or Module(name="default"),))


def plain(**changes):
    """The target with only these auxiliary probes."""
    bare = {"next_credential": None, "retained_versions": (), "recovery_vault": None, "recovery_credential": None}
    return replace(TARGET, **(bare | changes))
