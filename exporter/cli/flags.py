"""The flags that name running exporters: their URLs, one by one or in a file, and how to sign in."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from exporter.cli.main import Flag, Refusal, refuse_if
from exporter.clients.peers import ApiAccess, check_password, parse_url
from exporter.config.settings import SecretSource, read_secret
from exporter.core import durations
from exporter.runtime.files import FileUnreadableError, plainly, read_whole

# Flags of commands that request one HTTP server: user, password file and CA.


def sign_in_flags(prefix: str) -> str:
    """Return the flags of a sign-in, for texts."""
    return f"--{prefix}.user and --{prefix}.password.file"


def http_flags(prefix: str, *, user: str, server: str, dest: str = "") -> list[Flag]:
    """Return the flags; `user` and `server` are for the help. `dest` begins the attributes of a second server of one command."""
    return [
        Flag(f"--{prefix}.user NAME", f"user of {user}", dest=f"{dest}user"),
        Flag(f"--{prefix}.password.file FILE", f"file with the password of --{prefix}.user", dest=f"{dest}password_file"),
        Flag(
            f"--{prefix}.ca.file FILE",
            f"CA of the certificate of {server}, in PEM (default: the system's)",
            dest=f"{dest}ca_file",
        ),
    ]


def read_password(args: argparse.Namespace, prefix: str, *, dest: str = "") -> str | None:
    """Return the password of the file, None without one. Raises Refusal and SecretUnreadableError."""
    user, path = getattr(args, f"{dest}user"), getattr(args, f"{dest}password_file")
    refuse_if(
        ((user is None) != (path is None), f"{sign_in_flags(prefix)} belong together: give both or none"),
        (":" in (user or ""), f"--{prefix}.user: a user of basic authentication has no colon"),
    )
    return None if path is None else read_secret(SecretSource(file=path))


def time_limit(text: str) -> float:
    """Return the seconds of a limit: none at all would be no limit for aiohttp. Raises ValueError."""
    if not (seconds := durations.parse(text)):
        raise ValueError("must be longer than 0s")
    return seconds


_Report = TypeVar("_Report")
Render = Callable[[_Report], str]


def write_formats(
    args: argparse.Namespace, name: str, default: str, formats: Mapping[str, Render[_Report]], report: _Report
) -> None:
    """Print the format of the flags, or write a file for each into the folder of the flags, and print their paths.

    Bytes do not depend on the platform. Raises Refusal.
    """
    if args.out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(formats[args.format or default](report).encode())
        return
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        for form, render in formats.items():
            path = args.out / f"{name}.{'txt' if form == 'text' else form}"
            path.write_bytes(render(report).encode())
            print(path)
    except OSError as error:
        raise Refusal(f"--out: cannot write {args.out}: {plainly(error)}: name a folder that you may write to") from None


URLS_LIMIT = 1024 * 1024  # bytes
DEFAULT_URL = "http://localhost:10377"


def exporter_flags(text: str) -> list[Flag]:
    """Return the flags; `text` is the help of `--url`."""
    return [
        Flag("--url URL", text, dest="urls_given", action="append", type=parse_url),
        Flag("--urls FILE", "file with the URL of an exporter on each line; a line with # is a comment", dest="urls_file"),
        *http_flags("web", user="the exporter's --web.config.file", server="the exporter"),
    ]


def exporters_of(args: argparse.Namespace, *, timeout: float, default: str | None = None) -> list[ApiAccess]:
    """Return each exporter of the flags once, else the default one. Raises Refusal, AccessError and SecretUnreadableError."""
    urls = [*(args.urls_given or []), *([] if args.urls_file is None else _urls_in(args.urls_file))]
    if not urls and default is None:
        return []
    urls = urls or [parse_url(str(default))]
    password = read_password(args, "web")
    accesses = [
        ApiAccess(url=url, timeout=timeout, user=args.user, password=password, ca_file=args.ca_file)
        for url in dict.fromkeys(urls)
    ]
    for access in accesses:
        check_password(access)
    return accesses


def _urls_in(path: Path) -> list[str]:
    try:
        lines = read_whole(path, limit=URLS_LIMIT).decode("utf-8-sig").splitlines()
    except FileUnreadableError as error:
        raise Refusal(f"--urls: {path}: {error}") from None
    except UnicodeDecodeError:
        raise Refusal(f"--urls: {path}: not in UTF-8: save it as UTF-8") from None
    found = []
    for number, line in enumerate(lines, 1):
        url = line.partition("#")[0].strip()
        try:
            found += [parse_url(url)] if url else []
        except ValueError as error:
            raise Refusal(f"--urls: {path}, line {number}: {error}") from None
    refuse_if((not found, f"--urls: {path}: no URL: write one on each line, such as {DEFAULT_URL}"))
    return found
