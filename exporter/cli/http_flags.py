"""Flags of commands that request one HTTP server: user, password file and CA."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from exporter.config.credential import SecretSource
from exporter.config.secret_source import read_secret
from exporter.core import durations
from exporter.inventory.exporter_api import AccessError


def sign_in_flags(prefix: str) -> str:
    """Return the flags of a sign-in, for texts."""
    return f"--{prefix}.user and --{prefix}.password.file"


def add_http_flags(parser: argparse.ArgumentParser, prefix: str, *, user: str, server: str) -> None:
    """Add the flags; `user` and `server` are for the help."""
    parser.add_argument(f"--{prefix}.user", dest="user", metavar="NAME", help=f"user of {user}")
    parser.add_argument(
        f"--{prefix}.password.file",
        dest="password_file",
        metavar="FILE",
        type=Path,
        help=f"file with the password of --{prefix}.user",
    )
    parser.add_argument(
        f"--{prefix}.ca.file",
        dest="ca_file",
        metavar="FILE",
        type=Path,
        help=f"CA of the certificate of {server}, in PEM (default: the system's)",
    )


def read_password(args: argparse.Namespace, prefix: str) -> str | None:
    """Return the password of the file, None without one. Raises AccessError and SecretUnreadableError."""
    if (args.user is None) != (args.password_file is None):
        raise AccessError(f"{sign_in_flags(prefix)} belong together: give both or none")
    if ":" in (args.user or ""):
        raise AccessError(f"--{prefix}.user: a user of basic authentication has no colon")
    return None if args.password_file is None else read_secret(SecretSource(file=args.password_file))


def time_limit(text: str) -> float:
    """Return the seconds of a limit: none at all would be no limit for aiohttp. Raises ValueError."""
    if not (seconds := durations.parse(text)):
        raise ValueError("must be longer than 0s")
    return seconds


def typed(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Return a converter for argparse, which hides the text of a ValueError."""

    def converted(text: str) -> object:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted
