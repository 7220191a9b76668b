"""Build a credential from its section; check its secret and its files."""

from __future__ import annotations

from exporter.config.loader.defaults import SectionWithDefaults
from exporter.config.settings import Credential, SecretSource, SecretUnreadableError, read_secret
from exporter.config.settings.credential import NEEDS_CLIENT_ID, SOURCES
from exporter.config.settings.metadata import plain_values
from exporter.config.yaml import Location, Section
from exporter.core.connector_secret import connector_secret_findings
from exporter.core.model import CredentialKind
from exporter.runtime.files import CERTIFICATE_LIMIT, FileUnreadableError, read_whole, world_readable


def build_credential(name: str, section: Section) -> Credential | None:
    """Build the credential; None without a usable type. Problems are reported."""
    kind: CredentialKind | None = section.get("type")
    if kind is None:
        return None
    if kind in NEEDS_CLIENT_ID and not section.is_set("client_id"):
        section.location.child("client_id").error("is required")
    stem, needed = SOURCES.get(kind, ("", False))
    source = secret_source(section, stem, needed=needed) if stem else None
    if source is not None:
        _check_secret_of(source, section.location_of(_set_key(section, stem)), kind)
    if section.get("certificate_file") is not None:
        _check_certificate(section)
    attribute = "password" if kind is CredentialKind.CLIENT_CERTIFICATE else "secret"
    return Credential(name=name, **(plain_values(Credential, section) | {attribute: source}))


def secret_source(section: Section | SectionWithDefaults, stem: str, *, needed: bool) -> SecretSource | None:
    """Return the place of a secret from the keys STEM_file and STEM_env.

    Only one of the two is allowed.
    """
    in_file, in_environment = f"{stem}_file", f"{stem}_env"
    own = section.own if isinstance(section, SectionWithDefaults) else section
    if section.is_set(in_file) and section.is_set(in_environment):
        section.location_of(in_environment).error(f"the secret has two sources: keep either this or {in_file}")
        return None
    if needed and not (section.is_set(in_file) or section.is_set(in_environment) or own.holds_secret):
        own.location.child(in_file).error(f"is required (or {in_environment})")
    if (file := section.get(in_file)) is not None:
        return SecretSource(file=file)
    if (variable := section.get(in_environment)) is not None:
        return SecretSource(env=variable)
    return None


def check_secret(source: SecretSource, location: Location) -> str | None:
    """Read the secret once and report why it is unusable.

    No message contains the path: it may be a pasted secret.
    """
    if source.file is not None and world_readable(source.file):
        location.warn("every user of this host can read the file: restrict its permissions")
    try:
        return read_secret(source)
    except SecretUnreadableError as error:
        location.error(error.what if source.env is None else f"the environment variable {error.what}")
        return None


def _check_secret_of(source: SecretSource, location: Location, kind: CredentialKind) -> None:
    text = check_secret(source, location)
    if text is not None and kind is CredentialKind.CONNECTOR_SECRET:
        for finding in connector_secret_findings(text):
            location.error(finding.text)


def _check_certificate(section: Section) -> None:
    location = section.location_of("certificate_file")
    file = section.get("certificate_file")
    if world_readable(file):
        location.warn("every user of this host can read the file: restrict its permissions")
    try:
        if not read_whole(file, limit=CERTIFICATE_LIMIT):
            location.error("is empty")
    except FileUnreadableError as error:
        location.error(str(error))


def _set_key(section: Section, stem: str) -> str:
    return f"{stem}_file" if section.is_set(f"{stem}_file") else f"{stem}_env"
