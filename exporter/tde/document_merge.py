"""Two readings of one SQL Server as one.

Each section is from its last good reading, with the time of that reading. What was not read never removes what an earlier reading found.
"""

from __future__ import annotations

from dataclasses import replace

from exporter.tde.document import Document
from exporter.tde.fields import Row
from exporter.tde.usage import REGISTRY

_NOT_READ = "not read"
_BACKUPS, _CREDENTIALS = "backups", "credentials"
_MODIFIED = "modified_utc"


def merged(later: Document, earlier: Document) -> Document:
    """Return the later reading, with the sections of the earlier one that the later one lacks.

    A later reading with a failure has no section: its failure becomes the message of each.
    """
    names = dict.fromkeys((*earlier.sections, *later.sections, *earlier.errors, *later.errors, REGISTRY))
    chosen = {name: _source(name, later, earlier) for name in names}
    errors = {name: source.errors[name] for name, source in chosen.items() if name in source.errors}
    kept = {name: source.kept[name] for name, source in chosen.items() if name in source.kept}
    for name, source in chosen.items():
        if source is earlier and is_good(earlier, name):
            kept[name] = time_of(earlier, name)
            errors[name] = later.failure or later.errors.get(name, _NOT_READ)
    return Document(
        address=later.address or earlier.address,
        sections={name: source.sections[name] for name, source in chosen.items() if name in source.sections},
        errors=errors,
        key_uris=chosen[REGISTRY].key_uris,
        kept=kept,
    )


def with_known_backups(later: Document, earlier: Document) -> Document:
    """Add the last backup of each type that the later reading did not find.

    It may not have searched so far back. A database that is no longer encrypted has none.
    """
    known, found = earlier.sections.get(_BACKUPS, ()), later.sections.get(_BACKUPS)
    if found is None:
        return later
    encrypted = {row.get("name") for row in later.sections.get("databases", ()) if row.get("is_encrypted") == 1}
    listed = {(row.get("database"), row.get("type")) for row in found}
    kept = (row for row in known if row.get("database") in encrypted and (row.get("database"), row.get("type")) not in listed)
    return replace(later, sections={**later.sections, _BACKUPS: (*found, *kept)})


def with_known_changes(later: Document, earlier: Document) -> Document:
    """Add to each credential when it was altered before its last change, if an earlier reading knows that: SQL Server shows the last one alone."""
    known, found = {row.get("name"): row for row in earlier.sections.get(_CREDENTIALS, ())}, later.sections.get(_CREDENTIALS)
    if found is None:
        return later
    rows = tuple(_with_change(row, known.get(row.get("name"), {})) for row in found)
    return replace(later, sections={**later.sections, _CREDENTIALS: rows})


def _with_change(row: Row, before: Row) -> Row:
    changed = before.get(_MODIFIED) not in (None, row.get(_MODIFIED))
    at = before[_MODIFIED] if changed else before.get("earlier_utc")
    return row if at is None else {**row, "earlier_utc": at}


def is_good(document: Document, section: str) -> bool:
    """Whether some reading got the section as a whole.

    An empty registry proves nothing while there is a provider or a key: a login may not see it.
    """
    found = section in document.sections
    if section == REGISTRY:
        has_no_ekm = all(is_good(document, each) and not document.sections[each] for each in ("providers", "keys"))
        found = bool(document.key_uris) or has_no_ekm
    return found and (section not in document.errors or section in document.kept)


def time_of(document: Document, section: str) -> str:
    """Return when the rows of a section were read, as ISO 8601 in UTC; empty if unknown."""
    return document.kept.get(section) or read_at(document)


def read_at(document: Document) -> str:
    """Return the time of the reading; empty if unknown."""
    return next((str(row.get("read_at_utc", "")) for row in document.sections.get("instance", ())), "")


def _source(section: str, later: Document, earlier: Document) -> Document:
    """Return the reading that counts for a section."""
    if not is_good(later, section):
        return earlier if is_good(earlier, section) or later.failure is not None else later
    is_older = section in later.kept and later.kept[section] < time_of(earlier, section)
    return earlier if is_older and is_good(earlier, section) else later
