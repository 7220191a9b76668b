"""The place of a secret, a file or an environment variable, and the reading of it.

No message contains any part of a secret.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from exporter.core.connector_secret import CLIENT_ID_DIGITS
from exporter.core.known_secrets import remember
from exporter.runtime.files import FileUnreadableError, read_whole

SECRET_LIMIT = 64 * 1024

_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """The place of a secret: exactly one of a file and an environment variable."""

    file: Path | None = None
    env: str | None = None

    @property
    def kind(self) -> str:
        """The end of its key: `file` or `env`."""
        return "env" if self.file is None else "file"

    def __str__(self) -> str:
        return f"file {self.file}" if self.file is not None else f"environment variable {self.env}"


class SecretUnreadableError(Exception):
    """The reason why a secret is unusable. `what` is the reason without the place."""

    def __init__(self, source: SecretSource, what: str) -> None:
        super().__init__(f"{source}: {what}")
        self.what = what


def read_secret(source: SecretSource) -> str:
    """Read a secret, without one line break (LF or CRLF) at its end. Blocks on a file.

    Raises SecretUnreadableError if the secret is missing, unreadable, empty or malformed.
    """
    text = _from_file(source) if source.file is not None else _from_environment(source)
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.strip():
        raise SecretUnreadableError(source, "is empty")
    if "\n" in text:
        raise SecretUnreadableError(source, "contains more than one line: keep one")
    if text.startswith("\ufeff"):
        raise SecretUnreadableError(source, "starts with a byte order mark: save it without one")
    if _CONTROL.search(text):
        raise SecretUnreadableError(source, "contains a control character: remove it")
    remember(text)
    remember(text[CLIENT_ID_DIGITS:])  # the part of the connector's string that is sent
    return text


def _from_file(source: SecretSource) -> str:
    assert source.file is not None  # noqa: S101 - the caller checks it
    try:
        return read_whole(source.file, limit=SECRET_LIMIT).decode()
    except FileUnreadableError as error:
        raise SecretUnreadableError(source, str(error)) from None
    except UnicodeDecodeError:  # its text contains the bytes
        raise SecretUnreadableError(source, "is not UTF-8 text: save the file as UTF-8") from None


def _from_environment(source: SecretSource) -> str:
    text = os.environ.get(source.env or "")
    if text is None:
        raise SecretUnreadableError(source, "is not set: export it before the start")
    return text
