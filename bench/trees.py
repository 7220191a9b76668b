"""Another commit of this repository, whose exporter runs with the same server as this tree's."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from exporter.simulator.certificates import Certificates

ROOT = Path(__file__).parent.parent
LOCK = "requirements.lock"
# Words of the configuration that were others in older commits.
OLD_WORDS = (("auxiliary_interval", "beside_interval"),)


class TreeError(Exception):
    """The other commit cannot be compared. The text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a commit in a folder, and the interpreter that runs them. `words` replaces words of the configuration."""

    name: str
    root: str
    python: str
    words: Sequence[Sequence[str]] = field(default=())

    def adapted(self, config: str) -> str:
        for new, old in self.words:
            config = config.replace(new, old)
        return config


def _git(root: Path, *arguments: str) -> bytes:
    """Return the output of a git command. Raises TreeError if it fails."""
    try:
        done = subprocess.run(("git", "-C", root, *arguments), capture_output=True, check=False)  # noqa: S603, S607 - fixed commands
    except OSError as error:
        raise TreeError(f"--compare needs git: {error.strerror}") from error
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["git failed"])[-1]
        raise TreeError(last)
    return done.stdout


def commit_of(revision: str, root: Path = ROOT) -> str:
    """The full name of the commit. Raises TreeError if there is none."""
    try:
        return _git(root, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    except TreeError as error:
        raise TreeError(f"--compare {revision}: no such commit here ({error})") from error


def this_tree(root: Path = ROOT) -> str:
    """The name of this tree: its short commit, and whether files differ from it."""
    name = _git(root, "rev-parse", "--short", "HEAD").decode().strip()
    return f"{name} with uncommitted changes" if _git(root, "status", "--porcelain").strip() else name


def unpacked(revision: str, folder: Path, root: Path = ROOT) -> Tree:
    """Write the files of a commit below `folder` and choose its interpreter. Raises TreeError."""
    commit = commit_of(revision, root)
    short = _git(root, "rev-parse", "--short", commit).decode().strip()
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", commit))) as archive:
        archive.extractall(folder, filter="data")
    return Tree(name=short, root=str(folder), python=_interpreter(folder, root, short))


def _interpreter(folder: Path, root: Path, name: str) -> str:
    """Return this interpreter if the locked packages are the same, otherwise that of an environment below .cache."""
    theirs = (folder / LOCK).read_bytes() if (folder / LOCK).exists() else b""
    if theirs == (root / LOCK).read_bytes():
        return sys.executable
    if not theirs:
        raise TreeError(f"--compare {name}: the commit has no {LOCK}")
    place = root / ".cache" / "compare" / hashlib.sha256(theirs).hexdigest()[:16]
    python = place / "bin" / "python"
    print(f"bench: {LOCK} of {name} differs from this tree's: {name} runs with its own packages", file=sys.stderr, flush=True)
    if not (place / "has").exists():
        install = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
        for command in ((sys.executable, "-m", "venv", "--clear", place), (*install, "--requirement", folder / LOCK)):
            if subprocess.run(command, stdout=sys.stderr, check=False).returncode:  # noqa: S603 - fixed commands
                raise TreeError(f"--compare {name}: its packages cannot be installed")
        (place / "has").touch()
    return str(python)


def fitting(tree: Tree, config: str, folder: Path) -> Tree:
    """The tree with the words that its configuration needs. Raises TreeError if it refuses `config` in every wording."""
    refused = ""
    for count in range(len(OLD_WORDS) + 1):
        for words in combinations(OLD_WORDS, count):
            candidate = replace(tree, words=words)
            path = folder / "ekm.yml"
            path.write_text(candidate.adapted(config), encoding="utf-8")
            command = (tree.python, "-m", "exporter", "check", "--config.file", path)
            done = subprocess.run(command, cwd=tree.root, env={"EKM_BENCH": "none"}, capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
            if done.returncode == 0:
                return candidate
            refused = refused or next(iter((done.stdout + done.stderr).strip().splitlines()), "no output")
    raise TreeError(f"--compare {tree.name}: the commit refuses the configuration of this benchmark: {refused}")


def authority(folder: Path) -> Path:
    """A file with the certificate of some authority, for a configuration that is only checked."""
    path = folder / "ca.pem"
    path.write_bytes(Certificates(["bench.vault.azure.net"]).ca_pem)
    return path
