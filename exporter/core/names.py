"""Names that others chose: vaults and their clouds, Entra hosts, addresses, SQL Servers, files, thumbprints, hosts of requests.

Each function says which names it accepts and what they mean. `quoting` writes names into commands.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import product
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

from exporter.core import first_true

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Cloud:
    """One kind of vault in one cloud; `domain` is also the audience of its tokens."""

    name: str
    domain: str
    managed_hsm: bool = False

    @property
    def resource(self) -> str:
        return f"https://{self.domain}"


CLOUDS: tuple[Cloud, ...] = (
    Cloud("public", "vault.azure.net"),
    Cloud("public", "managedhsm.azure.net", managed_hsm=True),
    Cloud("us_government", "vault.usgovcloudapi.net"),
    Cloud("us_government", "managedhsm.usgovcloudapi.net", managed_hsm=True),
    Cloud("china", "vault.azure.cn"),
    Cloud("china", "managedhsm.azure.cn", managed_hsm=True),
)

# Azure Resource Manager of each cloud; https:// and the host are also the audience of its tokens.
MANAGEMENT_HOSTS: Mapping[str, str] = MappingProxyType(
    {"public": "management.azure.com", "us_government": "management.usgovcloudapi.net", "china": "management.chinacloudapi.cn"}
)

# The hosts that may receive a secret if a challenge names them, as well as the configured authority_host.
ENTRA_HOSTS: frozenset[str] = frozenset(
    {
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
    }
)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# Nothing after the host: the resource becomes a scope, and a blank would start a second one.
_RESOURCE = re.compile(rf"https://({_LABEL}(?:\.{_LABEL})*)(?::[0-9]{{1,5}})?/?", re.ASCII | re.IGNORECASE)
_HIGHEST_PORT: Final = 65535


def vault_host(identity: str) -> str:
    """Return the host name, in lower case, for IDENTITY of the SQL credential.

    A bare vault name gets the public cloud's domain, as in the connector. A full host name or https URL is kept, with its port
    unless it is 443. Raises ValueError with a message for the user.
    """
    text = identity.strip().lower()
    name, colon, port = text.removeprefix("https://").removesuffix("/").partition(":")
    host, is_port = name if "." in name else f"{name}.{CLOUDS[0].domain}", re.fullmatch(r"[1-9][0-9]{0,4}", port)
    problem = first_true(
        (text.startswith("http://"), "a vault accepts https only: write https:// or the name alone"),
        (colon and (not is_port or int(port) > _HIGHEST_PORT), "the port is not a number from 1 to 65535"),
        (
            "." not in name and not re.fullmatch(r"[a-z][a-z0-9-]{1,22}[a-z0-9]", name),
            "a vault name has 3 to 24 letters, digits and hyphens and starts with a letter",
        ),
        (len(host) > 253 or not _HOST.fullmatch(host), "expected a vault name, a host name, or an https URL without a path"),
        default="",
    )
    if problem:
        raise ValueError(problem)
    return host if port in ("", "443") else f"{host}:{port}"


def host_name(vault: str) -> str:
    """Return the host name of a vault, without a port."""
    return vault.partition(":")[0]


def cloud_of(vault: str) -> Cloud | None:
    """Return the cloud of the vault's host name, None if unknown."""
    host = host_name(vault)
    return next((cloud for cloud in CLOUDS if host.endswith("." + cloud.domain)), None)


def is_parent_domain(resource: str, vault: str) -> bool:
    """Whether a token for `resource` may be sent to `vault`. The resource's host must be a parent domain of the vault's host."""
    named = _RESOURCE.fullmatch(resource)
    return named is not None and "." in named[1] and host_name(vault).lower().endswith("." + named[1].lower())


def is_trusted_authority(authority: str, authority_host: str | None) -> bool:
    """Whether a secret may be sent to `authority` (https://host[:port]).

    It must be a known Entra ID host, or the configured one.
    """
    host, own = (each.lower().rstrip("/").removesuffix(":443") for each in (authority, authority_host or ""))
    return (own != "" and host == own) or host.removeprefix("https://") in ENTRA_HOSTS


# RFC 1918, shared address space of providers (RFC 6598), link-local and unique local addresses.
_PRIVATE = tuple(
    ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


@lru_cache(maxsize=8192)  # of a fleet, for each request
def is_address(name: str) -> bool:
    """Return whether a name is an IP address in its usual form; `0x7f.1` and `2130706433` are names."""
    return _address(name) is not None


def is_private(address: str) -> bool | None:
    """Whether an IP address belongs to a private network; None if it is no address."""
    parsed = _address(address)
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return None if mapped is None else any(mapped.version == net.version and mapped in net for net in _PRIVATE)


# Names of SQL Servers as `sqlcmd -S` takes them, and the answer of SQL Server Browser.

DEFAULT_PORT = 1433
_SQL_ADDRESS = re.compile(r"(?:tcp:)?([^\s\\,]+)(?:\\([^\s\\,;]{1,16}))?(?:\s*,\s*([0-9]{1,5}))?", re.IGNORECASE)
_OTHER_FORM = re.compile(r"[;=/]|^[^:\[\]]+:[0-9]*$")  # a connection string, or HOST:PORT; an IPv6 address has more colons
_EXPECTED_ADDRESS = "expected HOST, HOST\\INSTANCE or HOST,PORT"
# MC-SQLR: the request for one instance, and the first byte of the answer, before a length of two bytes.
_BROWSER_REQUEST, _BROWSER_ANSWER = b"\x04", b"\x05"


@dataclass(frozen=True, slots=True)
class SqlAddress:
    """A SQL Server; `text` is the name as it was written. Without a port, SQL Server Browser knows it."""

    text: str
    host: str
    instance: str | None
    port: int | None


def parse_sql_address(text: str) -> SqlAddress:
    """Parse a name. Raises ValueError with a message for the user."""
    matched = _SQL_ADDRESS.fullmatch(text.strip())
    if matched is None or not matched[1].isascii():
        raise ValueError(_EXPECTED_ADDRESS)
    host, instance = matched[1].strip("[]"), matched[2]
    if _OTHER_FORM.search(matched[1]):
        raise ValueError(f"{_EXPECTED_ADDRESS}; the port follows a comma")
    port = int(matched[3]) if matched[3] is not None else DEFAULT_PORT if instance is None else None
    if port is not None and not 0 < port <= _HIGHEST_PORT:
        raise ValueError(f"port {port}: expected 1 to 65535")
    return SqlAddress(text.strip(), "localhost" if host.lower() in (".", "(local)") else host, instance, port)


def parse_address_list(text: str) -> tuple[list[str], list[str]]:
    """Return the names of a file with one name a line, and a problem for each bad line. `#` begins a comment."""
    names, problems = dict[str, None](), list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if name := line.partition("#")[0].strip():
            try:
                names[parse_sql_address(name).text] = None
            except ValueError as error:
                problems.append(f"line {number}: {error}")
    return list(names), problems


def browser_request(instance: str) -> bytes:
    """Return the datagram that requests the port of one instance."""
    return _BROWSER_REQUEST + instance.encode("ascii", "replace") + b"\0"


def browser_port(answer: bytes, instance: str) -> int | None:
    """Return the TCP port of the instance; None if the answer has none."""
    for entry in answer[3:].decode("ascii", "replace").split(";;") if answer[:1] == _BROWSER_ANSWER else ():
        words = entry.split(";")
        fields = dict(zip(words[::2], words[1::2], strict=False))
        port = int(fields["tcp"]) if re.fullmatch("[0-9]{1,5}", fields.get("tcp", "")) else 0
        if 0 < port <= _HIGHEST_PORT and fields.get("InstanceName", "").upper() == instance.upper():
            return port
    return None


def server_name(labels: Mapping[str, str]) -> str:
    """Return the name of a declared SQL Server, an instance and its host: `PROD on n1`; the instance alone without a host."""
    instance, host = labels.get("sql_instance", ""), labels.get("host", "")
    return f"{instance} on {host}" if host else instance


def server_names(instances: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return each declared SQL Server once, by a key that ignores case, as Windows does."""
    names = dict[str, str]()
    for name in (server_name(each) for each in instances if each.get("sql_instance")):
        names.setdefault(name.casefold(), name)
    return names


# Which SQL Server an entry of `instances` names: the one rule of warnings, pages, differences, series, inventory and gate. What is good of a
# SQL Server counts for a target if it is certainly one of its entries; what may be bad, if it is possibly one.

_DEFAULT_INSTANCE = "mssqlserver"  # the service of the instance without a name, which has that of its host


class Match(IntEnum):
    """Whether an entry names a SQL Server."""

    NO = 0
    POSSIBLE = 1
    CERTAIN = 2


class ServerNames(NamedTuple):
    """What is known of the names of a SQL Server, in lower case; empty: unknown.

    `labels` are what an entry may have as `sql_instance`; `computer` is the host without `domain`, which may be that of the address that was
    asked under this host. `groups` are its availability groups. Its name is `contested` if another one answers with it, too. Of other SQL Servers,
    `shared` has the labels that they have on other hosts, with an empty one if an instance is unknown; `has_twin` is whether one differs from
    it by its domain alone.
    """

    labels: frozenset[str]
    host: str
    computer: str
    domain: str
    contested: bool
    groups: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    has_twin: bool = False

    @property
    def entry_keys(self) -> frozenset[tuple[str, str]]:
        """The `entry_key` of each entry that may name it by its instance."""
        return frozenset(product(self.labels, {self.computer, ""}))


def entry_key(entry: Mapping[str, str]) -> tuple[str, str]:
    """Return what an index has of an entry: instance and host, without the domain."""
    return entry.get("sql_instance", "").casefold(), entry.get("host", "").casefold().partition(".")[0]


def server_names_at(address: str, sql_instance: str, host: str, *, contested: bool = False) -> ServerNames:
    """Return the names of a SQL Server: its labels, else what its address shows."""
    try:
        asked = parse_sql_address(address)
    except ValueError:  # of a file
        asked = SqlAddress(address, "", None, None)
    is_name = asked.host != "localhost" and not re.fullmatch(r"[0-9.]+|.*:.*", asked.host)  # no IP address
    asked_computer, _, asked_domain = (asked.host if is_name else "").casefold().rstrip(".").partition(".")
    instance, host = (sql_instance or asked.instance or "").casefold(), (host or asked_computer).casefold()
    computer, _, domain = host.partition(".")
    labels = {instance, _DEFAULT_INSTANCE, computer} if instance in (_DEFAULT_INSTANCE, computer) and instance else {instance}
    return ServerNames(
        labels=frozenset(labels - {""}),
        host=host,
        computer=computer,
        domain=domain or (asked_domain if host == asked_computer else ""),
        contested=contested,
    )


def told_apart(servers: Mapping[_Key, ServerNames]) -> dict[_Key, ServerNames]:
    """Return each of these SQL Servers with what the others have in common with it."""
    # Of each label and computer, without those whose name is contested.
    hosts = defaultdict[str, defaultdict[str, set[str]]](lambda: defaultdict(set))
    for each in servers.values():
        for label in each.labels:
            hosts[label][each.computer].update([] if each.contested else [each.host])
    unnamed, found = {key for key, each in servers.items() if not each.labels}, dict[_Key, ServerNames]()
    for key, each in servers.items():
        shared = {label for label in each.labels if len(hosts[label]) > 1} | ({""} if unnamed - {key} else set())
        has_twin = each.has_twin or any(hosts[label][each.computer] - {each.host} for label in each.labels)
        found[key] = each._replace(shared=frozenset(shared), has_twin=has_twin) if shared or has_twin else each
    return found


def match_entry(entry: Mapping[str, str], server: ServerNames) -> Match:
    """Return whether an entry of `instances` names a SQL Server. What one side lacks is not compared, and then nothing is certain.

    An entry without a host is certain if no other SQL Server has its `sql_instance`; a host without a domain, if no other domain has that host.
    """
    label, host = entry.get("sql_instance", "").casefold(), entry.get("host", "").casefold()
    if not (label or host):
        return Match.POSSIBLE if entry.get("ag", "").casefold() in server.groups else Match.NO
    if label and server.labels and label not in server.labels:
        return Match.NO
    is_one = not (host or server.has_twin or server.shared & {label, ""})
    if host and server.host:
        if not is_same_host(host, server.host):
            return Match.NO
        domain = host.partition(".")[2]
        is_one = not server.has_twin or (domain != "" and domain == server.domain)
    return Match.CERTAIN if label and server.labels and is_one and not server.contested else Match.POSSIBLE


def is_same_server(name: str, other: str) -> bool:
    """Whether two names that SQL Server gives itself may mean one: a domain counts if both have one."""
    (host, _, instance), (other_host, _, other_instance) = (each.strip().casefold().partition("\\") for each in (name, other))
    return instance == other_instance and is_same_host(host, other_host)


def is_same_host(host: str, other: str) -> bool:
    """Whether two names may mean one host: a domain counts if both have one."""
    (short, _, domain), (other_short, _, other_domain) = (each.casefold().partition(".") for each in (host, other))
    return short == other_short and (domain == other_domain or not domain or not other_domain)


def is_device(name: str) -> bool:
    """Whether Windows opens a device by this name of a file, in every folder."""
    # https://learn.microsoft.com/windows/win32/fileio/naming-a-file; before Windows 11, con.yml is the console too.
    devices = r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\..*)?"
    return re.fullmatch(devices, name, re.IGNORECASE | re.DOTALL) is not None


_LONGEST_WORD = 80  # the comparison takes quadratic time


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the most similar of `words` as ` (did you mean '…'?)`, or an empty text. Upper case in `word` is ignored."""
    known = list(words)
    close = get_close_matches(word[:_LONGEST_WORD], known, n=1) or get_close_matches(word[:_LONGEST_WORD].lower(), known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


# SQL Server's thumbprint of an asymmetric key. Connector 1.0.4.0 makes it from the key's name. Connector 1.0.5.0 makes a hash of 20 bytes, equal on all nodes for one key version.
# How the hash is computed is not documented, so no function here computes one.
HASH_BYTES = 20
EXPECTED_THUMBPRINT = "expected a thumbprint as SQL Server writes it: 0x and an even number of hex digits, at most 64"
THUMBPRINT_PATTERN = r"0[xX](?:[0-9A-Fa-f]{2}){1,32}"


class Pin(NamedTuple):
    """A thumbprint and the key version that it is declared for."""

    thumbprint: str
    key_name: str
    key_version: str | None


def normalize_thumbprint(text: str) -> str:
    """Return the thumbprint as `CONVERT(varchar(100), thumbprint, 1)` writes it.

    Raises ValueError with a message for the user.
    """
    if not re.fullmatch(THUMBPRINT_PATTERN, text):
        raise ValueError(EXPECTED_THUMBPRINT)
    return f"0x{text[2:].upper()}"


def length_of(thumbprint: str) -> int:
    """Return the number of bytes of a normalized thumbprint."""
    return (len(thumbprint) - 2) // 2


def is_hash(thumbprint: str) -> bool:
    """Whether the thumbprint has the length that connector 1.0.5.0 writes."""
    return length_of(thumbprint) == HASH_BYTES


def contradiction(one: Pin, other: Pin) -> str:
    """Return why two pins cannot both be right; empty if they can.

    The same key version can be in two vaults. Versions of one key can share a thumbprint that is not as long as the hash.
    """
    same_name = one.key_name.lower() == other.key_name.lower()
    same_version = same_name and (one.key_version or "").lower() == (other.key_version or "").lower()
    hashes, same = is_hash(one.thumbprint) and is_hash(other.thumbprint), one.thumbprint == other.thumbprint
    return first_true(
        (same and not same_name, "the same thumbprint, but another key name"),
        (same and hashes and not same_version, "the same thumbprint, but another version"),
        (not same and hashes and same_version and one.key_version, "the same key version, but another thumbprint"),
        default="",
    )


# Requests that a browser sends on behalf of another site. The listener defines its own hosts; `exporter.web.access` controls access.

# A browser sends these to any host without a preflight request; none is JSON or curl's default.
FORM_TYPES: Final = frozenset({"text/plain", "multipart/form-data"})

# RFC 3986, without user information: an address in brackets, or a name; then a port.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._~-]{1,64})?)\]|(?P<name>[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)\.?)"
    r"(?::(?P<port>[0-9]{0,5}))?"
)


class Authority(NamedTuple):
    """Host and port of a URL or a `Host` header; the name is in lower case, without brackets and a final dot."""

    name: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """Return host and port; None for anything else, such as user information."""
    found = _AUTHORITY.fullmatch(text.strip(" \t"))
    if found is None or int(found["port"] or 0) > _HIGHEST_PORT:
        return None
    port = int(found["port"]) if found["port"] else None
    if found["address"] is None:
        return Authority(found["name"].lower(), port)
    address = _address(found["address"])
    return Authority(str(address), port) if isinstance(address, IPv6Address) else None


def is_loopback(host: str) -> bool:
    """Return whether a `Host` header names localhost or a loopback address."""
    authority = parse_authority(host)
    address = None if authority is None else _address(authority.name)
    return (authority is not None and authority.name == "localhost") or (address is not None and address.is_loopback)


def is_cross_site(headers: Mapping[str, str], hosts: Iterable[str]) -> bool:
    """Return True if a browser reports another site as the origin.

    Programs send none of these headers. `headers` is case-insensitive. `hosts` are the listener's own, each with its port if
    the browser shows one.
    """
    if headers.get("Sec-Fetch-Site") not in (None, "none", "same-origin"):
        return True
    # An old browser sends only the page's address.
    origin = headers.get("Origin", headers.get("Referer"))
    return origin is not None and not any(_is_of(origin, host) for host in hosts)


def _is_of(origin: str, host: str) -> bool:
    """Return whether an origin names this host; a port that one of them omits is the default of the scheme."""
    try:
        url = urlsplit(origin)
    except ValueError:
        return False
    default, named, own = {"http": 80, "https": 443}.get(url.scheme), parse_authority(url.netloc), parse_authority(host)
    if default is None or named is None or own is None:
        return False
    return (named.name, named.port or default) == (own.name, own.port or default)
