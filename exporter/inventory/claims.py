"""The readings of a run, held against what is known: no server takes the place of another one by its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.core import grouped
from exporter.core.names import is_same_server, parse_sql_address
from exporter.sqlserver.document import Document, utc_text
from exporter.sqlserver.instance import FILE, Identity, has_two_names, host_of, identity_of
from exporter.sqlserver.reading import merged, read_at


@dataclass(frozen=True, slots=True)
class DocumentReading:
    """A document and where it is from.

    `direct` is one that a server answered just now, so that no other one is newer. `of_exporter` is the last reading of a running
    exporter, which is expected to be one of several.
    """

    document: Document
    where: str
    direct: bool = False
    of_exporter: bool = False


@dataclass(slots=True)
class Taken:
    """The documents after a run by the key of their servers, and what was refused or came late."""

    documents: dict[str, Document] = field(default_factory=dict)
    read: dict[str, DocumentReading] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    known: dict[str, dict[str, Identity]] = field(default_factory=dict)  # by name and key

    def put(self, key: str, document: Document) -> None:
        identity = identity_of(document)
        self.documents[key] = document
        self.known.setdefault(identity.name, {})[key] = identity

    def remove(self, key: str, name: str) -> None:
        self.documents.pop(key, None)
        self.read.pop(key, None)
        self.known.get(name, {}).pop(key, None)

    def keys_of(self, identity: Identity) -> list[str]:
        """Return the keys of the servers that an identity may mean."""
        same = self.known.get(identity.name, {})
        return [key for key, other in same.items() if other.domain == identity.domain] or [
            key for key, other in same.items() if is_same_server(identity.key, other.key)
        ]


def take_in(held: Mapping[str, Document], readings: Sequence[DocumentReading], *, prune: bool = False) -> Taken:
    """Merge the readings into the held documents, by section.

    With `prune`, a server that was not read is forgotten, and another address may have its name.
    """
    taken = Taken()
    for key, document in held.items():
        taken.put(key, document)

    def is_its_own(pair: tuple[DocumentReading, Identity]) -> bool:
        """Whether the name is that of the address, or was known from there before."""
        reading, identity = pair
        known = (taken.documents[key] for key in taken.keys_of(identity))
        return identity.proven or any(_same_address(reading.document, one) for one in known)

    found = [(one, identity_of(one.document)) for one in readings if one.document.failure is None]
    for one, identity in sorted(found, key=is_its_own, reverse=True):
        _take(one, identity, taken, prune=prune)
    if prune:
        taken.documents = {key: one for key, one in taken.documents.items() if key in taken.read}
    _mark_failed([one.document for one in readings if one.document.failure is not None], taken)
    return taken


def _same_address(one: Document, held: Document) -> bool:
    return held.address is None or (one.address or "").lower() == held.address.lower()


def _take(reading: DocumentReading, identity: Identity, taken: Taken, *, prune: bool) -> None:
    known = taken.keys_of(identity)
    keys = [key for key in known if len(known) == 1 or _same_address(reading.document, taken.documents[key])]
    key = keys[0] if keys else identity.key
    holder, before = taken.documents.get(key), taken.read.get(key)
    if problem := _problem(reading, identity, holder, before, ambiguous=bool(known) and not keys, prune=prune):
        taken.failures.append(f"{reading.where}: {problem}")
        return
    if before is not None and not (before.of_exporter or reading.of_exporter):
        taken.failures.append(
            f"{reading.where}: {identity.name} was read from another source too ({before.where}), and the later reading counts: "
            "name it once, or with its domain"
        )
    is_same = holder is not None and (identity.proven or _same_address(reading.document, holder))
    document = _joined(reading, holder, before, taken) if holder is not None and is_same else reading.document
    taken.remove(key, identity.name)
    key = identity.key if identity.domain else key
    taken.put(key, document)
    taken.read[key] = reading


def _problem(
    reading: DocumentReading,
    identity: Identity,
    holder: Document | None,
    before: DocumentReading | None,
    *,
    ambiguous: bool,
    prune: bool,
) -> str:
    """Return why a reading cannot count; empty if it can."""
    if has_two_names(reading.document):
        return f"answers as {identity.name}, but with the machine name of another server, so it was not used: find out why"
    if ambiguous:
        return f"answers as {identity.name}, a name of servers in several domains, so it was not used: name it with its domain"
    if holder is None or identity.proven or _same_address(reading.document, holder) or (prune and before is None):
        return ""
    if before is not None:
        return f"{identity.name} was read from another source too ({before.where}), and this one was not used: name it once"
    known = (holder.address or "another source").removeprefix(FILE)
    return (
        f"answers as {identity.name}, which is known from {known}, so it was not used: read that server by its own name, "
        "or forget the other source with --prune"
    )


def _joined(reading: DocumentReading, holder: Document, before: DocumentReading | None, taken: Taken) -> Document:
    if reading.direct or read_at(reading.document) >= read_at(holder):
        return merged(reading.document, holder)
    if before is None or not reading.of_exporter:
        at, name = utc_text(read_at(reading.document)), identity_of(reading.document).name
        taken.late.append(f"{reading.where}: the reading is of {at}, older than the last one of {name}")
    return merged(holder, reading.document)


def _mark_failed(failed: Iterable[Document], taken: Taken) -> None:
    """Mark the servers that could not be read, so that their last readings are known to be that."""
    by_address = grouped(((document.address or "").lower(), key) for key, document in taken.documents.items())
    for document in failed:
        for key in {*by_address.get((document.address or "").lower(), ()), *_keys_at(document.address or "", taken)}:
            if key in taken.documents and key not in taken.read:
                taken.documents[key] = merged(document, taken.documents[key])


def _keys_at(address: str, taken: Taken) -> list[str]:
    """Return the keys of the servers whose name an address is."""
    label, _, domain = host_of(address).upper().partition(".")
    if not label:
        return []
    instance = (parse_sql_address(address).instance or "").upper()
    return taken.keys_of(Identity(f"{label}\\{instance}" if instance else label, domain, proven=False))
