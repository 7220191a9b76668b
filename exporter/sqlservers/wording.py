"""The words in the texts of failures that depend on the reader: flags of `inventory`, or settings of `run`."""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, str]

INVENTORY: Words = {}
RUN: Words = {}
