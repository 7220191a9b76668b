"""Flags of commands that request one HTTP server: user, password file and CA."""

from __future__ import annotations

import argparse

from exporter.cli.parser import FlagOwner, add_flag
from exporter.clients.exporter_api import AccessError
from exporter.config.settings import SecretSource, read_secret
from exporter.core import durations


def sign_in_flags(prefix: str) -> str:
    """Return the flags of a sign-in, for texts."""
    return f"--{prefix}.user and --{prefix}.password.file"


def add_http_flags(parser: FlagOwner, prefix: str, *, user: str, server: str, dest: str = "") -> None:
    """Add the flags; `user` and `server` are for the help. `dest` begins the attributes of a second server of one command."""
    add_flag(parser, f"--{prefix}.user NAME", f"user of {user}", dest=f"{dest}user")
    add_flag(parser, f"--{prefix}.password.file FILE", f"file with the password of --{prefix}.user", dest=f"{dest}password_file")
    ca = f"CA of the certificate of {server}, in PEM (default: the system's)"
    add_flag(parser, f"--{prefix}.ca.file FILE", ca, dest=f"{dest}ca_file")


def read_password(args: argparse.Namespace, prefix: str, *, dest: str = "") -> str | None:
    """Return the password of the file, None without one. Raises AccessError and SecretUnreadableError."""
    user, path = getattr(args, f"{dest}user"), getattr(args, f"{dest}password_file")
    if (user is None) != (path is None):
        raise AccessError(f"{sign_in_flags(prefix)} belong together: give both or none")
    if ":" in (user or ""):
        raise AccessError(f"--{prefix}.user: a user of basic authentication has no colon")
    return None if path is None else read_secret(SecretSource(file=path))


def time_limit(text: str) -> float:
    """Return the seconds of a limit: none at all would be no limit for aiohttp. Raises ValueError."""
    if not (seconds := durations.parse(text)):
        raise ValueError("must be longer than 0s")
    return seconds
