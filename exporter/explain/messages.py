"""What SQL Server and the connector show around a failure and that is no code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.explain.connector_texts import CONNECTOR_TEXTS
from exporter.explain.known_text import KnownText
from exporter.explain.messages_database import DATABASE_MESSAGES, STATES
from exporter.explain.messages_keys import KEY_MESSAGES
from exporter.explain.messages_provider import PROVIDER_MESSAGES

# The order decides if a paste has several: a message about the provider comes before a state that follows from it.
TEXTS: tuple[KnownText, ...] = (*CONNECTOR_TEXTS, *PROVIDER_MESSAGES, *KEY_MESSAGES, *DATABASE_MESSAGES)
KNOWN_TEXTS: tuple[KnownText, ...] = (*TEXTS, *STATES)
MESSAGES: Mapping[int, KnownText] = MappingProxyType({each.number: each for each in TEXTS if each.number is not None})
# An event with one of these messages is worth a line whatever its text is: they are about providers, keys and encryption.
EKM_MESSAGES = frozenset(number for number in MESSAGES if number >= 33000)
