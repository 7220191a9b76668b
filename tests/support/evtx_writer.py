"""Write saved Windows event logs: a small part of the EVTX format, with whole checksums.

The layout is that of [MS-EVEN6] and of libevtx's description. Each element is written without templates.
"""

import struct
import zlib
from datetime import UTC, datetime

CHUNK, HEADER, FIRST_RECORD = 65536, 4096, 512
CONNECTOR = "SQL Server Connector for Microsoft Azure Key Vault"
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_STRING, _END = 0x01, b"\x00"


def event(provider=CONNECTOR, number=0, *texts, at="2026-11-24T10:02:00", level=2, raw=None):
    """An event as nested elements: (name, attributes, children or text)."""
    data = [("Data", {}, text) for text in texts]
    system = [
        ("Provider", {"Name": provider}, ""),
        ("EventID", {"Qualifiers": "0"}, str(number)),
        ("Level", {}, str(level)),
        ("TimeCreated", {"SystemTime": f"{at}.000000Z"}, ""),
        ("Channel", {}, "Application"),
        ("Computer", {}, "n1.contoso.invalid"),
    ]
    return raw or ("Event", {}, [("System", {}, system), ("EventData", {}, data)]), at


def log(events):
    """The bytes of a whole log."""
    chunks, waiting = [], list(events)
    number = 1
    while waiting or not chunks:
        chunk = _Chunk(number)
        while waiting and chunk.add(*waiting[0]):
            waiting.pop(0)
        number = chunk.next_number
        chunks.append(chunk.bytes())
    head = struct.pack("<8sQQQIHHHH", b"ElfFile\0", 0, len(chunks) - 1, number, 128, 1, 3, HEADER, len(chunks))
    head = head.ljust(120, b"\0")
    return (head + struct.pack("<II", 0, zlib.crc32(head))).ljust(HEADER, b"\0") + b"".join(chunks)


class _Chunk:
    def __init__(self, number):
        self.first = self.next_number = number
        self._data = b""
        self._last = FIRST_RECORD

    def add(self, element, at):
        """Whether the event fits."""
        start = FIRST_RECORD + len(self._data)
        body = b"\x0f\x01\x01\x00" + _element(element, start + 24 + 4) + _END
        size = 24 + len(body) + 4
        padding = -size % 8
        size += padding
        if start + size > CHUNK:
            return False
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC) - _EPOCH
        ticks = (moment.days * 86400 + moment.seconds) * 10_000_000
        self._last = start
        self._data += struct.pack("<4sIQQ", b"**\0\0", size, self.next_number, ticks) + body + b"\0" * padding
        self._data += struct.pack("<I", size)
        self.next_number += 1
        return True

    def bytes(self):
        numbers = (self.first, self.next_number - 1)
        free = FIRST_RECORD + len(self._data)
        head = struct.pack("<8sQQQQIIII", b"ElfChnk\0", *numbers, *numbers, 128, self._last, free, zlib.crc32(self._data))
        head = head.ljust(124, b"\0")
        tables = b"\0" * (FIRST_RECORD - 128)
        checksum = zlib.crc32(head[:120] + tables)
        return (head + struct.pack("<I", checksum) + tables + self._data).ljust(CHUNK, b"\0")


def _element(element, offset):
    """BinXML of an element that begins at this offset of its chunk."""
    name, attributes, content = element
    head = 1 + 4
    named = _name(name, offset + head + 4)
    at = offset + head + len(named)
    listed = b""
    for position, (key, value) in enumerate(attributes.items()):
        more = position < len(attributes) - 1
        begin = at + 4 + len(listed)
        listed += bytes([0x46 if more else 0x06]) + _name(key, begin + 1 + 4) + _text(value)
    inner = (struct.pack("<I", len(listed)) + listed) if attributes else b""
    at += len(inner)
    if content == "":
        inner += b"\x03"
    else:
        inner += b"\x02"
        at += 1
        for child in [content] if isinstance(content, str) else content:
            piece = _text(child) if isinstance(child, str) else _element(child, at)
            inner += piece
            at += len(piece)
        inner += b"\x04"
    return struct.pack("<BI", 0x41 if attributes else 0x01, len(named) + len(inner)) + named + inner


def _name(name, offset):
    """A name in place; `offset` is that of its definition in the chunk."""
    code = 0
    for sign in name:
        code = (code * 65599 + ord(sign)) & 0xFFFFFFFF
    return struct.pack("<IIHH", offset, 0, code & 0xFFFF, len(name)) + name.encode("utf-16-le") + b"\0\0"


def _text(text):
    units = text.encode("utf-16-le", "surrogatepass")
    return struct.pack("<BBH", 0x05, _STRING, len(units) // 2) + units
