"""Which SQL Server a reading is about. A server answers with its own name: only the address proves that the name is its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from exporter.core.sql_addresses import parse_sql_address
from exporter.tde.document import Document
from exporter.tde.model import Instance, instance_of, names_of

FILE = "file "  # begins the address of a reading whose file does not name one
DEFAULT_INSTANCE = "mssqlserver"
_NUMERIC = re.compile(r"[0-9.:]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """The name that a server answered, in capitals; its domain, empty if unknown; whether its address proves the name."""

    name: str
    domain: str
    proven: bool

    @property
    def key(self) -> str:
        """The name in the inventory: two domains may have one name."""
        host, separator, instance = self.name.partition("\\")
        return f"{host}.{self.domain}{separator}{instance}" if self.domain else self.name


def identity_of(document: Document) -> Identity:
    """Return the identity of a document with an instance."""
    name = names_of(document)[0].upper()
    asked = asked_host(document.address or "", name.partition("\\")[0]).upper()
    return Identity(name, asked.partition(".")[2], proven=bool(asked))


def asked_host(address: str, label: str) -> str:
    """Return the host of an address in lower case if this is its first label, empty if not. A file's name may begin with the label."""
    address, label = address.lower(), label.lower()
    if address.startswith(FILE):
        return label if re.match(rf"{re.escape(label)}(?![^._\\ ])", address.removeprefix(FILE)) else ""
    host = host_of(address).rstrip(".")
    return host if host.partition(".")[0] == label and not is_numeric(host) else ""


def is_numeric(host: str) -> bool:
    """Whether a host is an IP address, which has no labels."""
    return _NUMERIC.fullmatch(host) is not None


def has_two_names(document: Document) -> bool:
    """Whether server and machine differ. SQL Server builds the first from the second, which NetBIOS may cut."""
    server, machine = (name.upper() for name in names_of(document))
    host = server.partition("\\")[0]
    return not host.startswith(machine) and not machine.startswith(host)


def host_of(address: str) -> str:
    """Return the host of a server's name; empty if it is none."""
    try:
        return parse_sql_address(address).host
    except ValueError:
        return ""


def is_same_server(name: str, other: str) -> bool:
    """Whether two names may mean one SQL Server: a domain counts if both have one."""
    host, _, instance = name.strip().lower().partition("\\")
    other_host, _, other_instance = other.strip().lower().partition("\\")
    return instance == other_instance and is_same_host(host, other_host)


def is_same_host(host: str, other: str) -> bool:
    """Whether two names in lower case may mean one host."""
    (short, _, domain), (other_short, _, other_domain) = host.partition("."), other.partition(".")
    return short == other_short and (domain == other_domain or not domain or not other_domain)


def is_same_instance(label: str, sql_instance: str, host: str) -> bool:
    """Whether a target's label may mean the instance: the service of a default instance, which has the name of its host, is MSSQLSERVER."""
    is_default = sql_instance.lower() == host.lower().partition(".")[0]
    return label.lower() == sql_instance.lower() or (is_default and label.lower() == DEFAULT_INSTANCE)


def instances_of(documents: Iterable[Document], now: float | None = None) -> list[Instance]:
    """Build the instances at `now`, a Unix time. If two domains have a server of one name, name and host get the domain."""
    pairs = [(instance_of(one, now), identity_of(one)) for one in documents]
    numbers = Counter(identity.name for _, identity in pairs)
    return [_with_domain(*pair) if pair[1].domain and numbers[pair[1].name] > 1 else pair[0] for pair in pairs]


def _with_domain(instance: Instance, identity: Identity) -> Instance:
    domain = identity.domain.lower()
    host, separator, name = instance.server_name.partition("\\")
    return replace(
        instance,
        server_name=f"{host}.{domain}{separator}{name}",
        host=f"{instance.host}.{domain}",
        nodes=tuple(f"{node}.{domain}" for node in instance.nodes),
    )
