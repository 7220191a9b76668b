"""Protobuf of gauges that are rendered as text only: for the first scrape in protobuf."""

from __future__ import annotations

import re
from typing import Final

from exporter.metrics import protobuf
from exporter.metrics.text_format import LabelSet

_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_NO_LABELS: Final = LabelSet.from_labels()


def gauges_of(block: bytes) -> bytes:
    """Return the sample lines of a block as metrics."""
    return b"".join([_gauge(line) for line in block.decode().split("\n") if line])


def _gauge(line: str) -> bytes:
    labels, _, value = line.rpartition(" ")
    found = tuple((name, _unescaped(text)) for name, text in _LABEL.findall(labels))
    return protobuf.gauge(found, _NO_LABELS, float(value))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text
