"""Names of SQL Servers as `sqlcmd -S` takes them, and the answer of SQL Server Browser."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_PORT = 1433
_NAME = re.compile(r"(?:tcp:)?([^\s\\,]+)(?:\\([^\s\\,;]{1,16}))?(?:\s*,\s*([0-9]{1,5}))?", re.IGNORECASE)
_OTHER_FORM = re.compile(r"[;=/]|^[^:\[\]]+:[0-9]*$")  # a connection string, or HOST:PORT; an IPv6 address has more colons
_HERE = frozenset({".", "(local)"})
_EXPECTED = "expected HOST, HOST\\INSTANCE or HOST,PORT"
# MC-SQLR: the request for one instance, and the first byte of the answer, before a length of two bytes.
_REQUEST, _ANSWER = b"\x04", 5
_PORT = re.compile("[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class SqlAddress:
    """A SQL Server; `text` is the name as it was written. Without a port, SQL Server Browser knows it."""

    text: str
    host: str
    instance: str | None
    port: int | None


def parse_sql_address(text: str) -> SqlAddress:
    """Parse a name. Raises ValueError with a message for the user."""
    matched = _NAME.fullmatch(text.strip())
    if matched is None or not matched[1].isascii():
        raise ValueError(_EXPECTED)
    host, instance, digits = matched[1].strip("[]"), matched[2], matched[3]
    if _OTHER_FORM.search(matched[1]):
        raise ValueError(f"{_EXPECTED}; the port follows a comma")
    port = int(digits) if digits is not None else None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"port {port}: expected 1 to 65535")
    if port is None and instance is None:
        port = DEFAULT_PORT
    return SqlAddress(text.strip(), "localhost" if host.lower() in _HERE else host, instance, port)


def parse_address_list(text: str) -> tuple[list[str], list[str]]:
    """Return the names of a file with one name a line, and a problem for each bad line.

    `#` begins a comment.
    """
    names: dict[str, None] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.partition("#")[0].strip()
        if not name:
            continue
        try:
            names[parse_sql_address(name).text] = None
        except ValueError as error:
            problems.append(f"line {number}: {error}")
    return list(names), problems


def browser_request(instance: str) -> bytes:
    """Return the datagram that requests the port of one instance."""
    return _REQUEST + instance.encode("ascii", "replace") + b"\0"


def browser_port(answer: bytes, instance: str) -> int | None:
    """Return the TCP port of the instance; None if the answer has none."""
    if len(answer) < 3 or answer[0] != _ANSWER:
        return None
    for entry in answer[3:].decode("ascii", "replace").split(";;"):
        words = entry.split(";")
        fields = dict(zip(words[::2], words[1::2], strict=False))
        port = fields.get("tcp", "")
        if fields.get("InstanceName", "").upper() == instance.upper() and _PORT.fullmatch(port) and 0 < int(port) < 65536:
            return int(port)
    return None
