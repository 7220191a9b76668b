"""Another commit of this repository, whose exporter runs with this interpreter and the same server."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = "requirements.lock"


class TreeError(Exception):
    """The other commit cannot be measured. The text is one line for the user."""


def unpacked(revision: str, folder: Path, root: Path = ROOT) -> Path:
    """Write the files of a commit to `folder`. Raises TreeError if there is none or if its locked packages differ."""
    command = ("git", "-C", root, "archive", "--format=tar", f"{revision}^{{commit}}")
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed words, and a revision that git refuses if unknown
    if done.returncode:
        raise TreeError(f"--compare {revision}: no such commit here ({done.stderr.decode(errors='replace').strip()})")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    locks = [(place / LOCK).read_bytes() if (place / LOCK).exists() else b"" for place in (folder, root)]
    if locks[0] != locks[1]:
        print(f"bench: {LOCK} of {revision} differs: it runs with the packages of this tree", file=sys.stderr, flush=True)
    return folder


def described(revision: str) -> str:
    """The hash and the date of a commit that `unpacked` has found."""
    command = ("git", "-C", ROOT, "log", "-1", "--format=%h of %cs", revision)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - see above
