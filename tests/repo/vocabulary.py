"""Words and names that the project replaced, and the word that stands for each.

`python -m tests.repo.vocabulary PATH...` prints every line of those paths that breaks a row of the table.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# Files that this project does not word, and the two that have to name the old words.
SKIPPED: Final = (
    "LICENSE",
    "*.lock",
    "*.svg",
    "*.png",
    "*package-lock.json",
    "CHANGELOG.md",
    "dashboards/*.json",
    "tests/repo/*vocabulary.py",
    "tests/recorded/*",
    "tests/fuzz/crashers/*",
)


@dataclass(frozen=True)
class Row:
    """One replaced word: a pattern, the word that stands for it, and the uses that remain allowed."""

    pattern: str
    instead: str
    # A glob of paths, and a text that the line must contain; the value is the reason.
    allowed: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def is_allowed(self, path: str, line: str) -> bool:
        return any(fnmatch(path, glob) and text in line for glob, text in self.allowed)


def _word(*alternatives: str) -> str:
    """The alternatives as whole words, in any case, also as parts of a snake_case or CamelCase name."""
    return rf"(?i:(?<![a-z])(?:{'|'.join(alternatives)})(?![a-z]))"


def _name(*names: str) -> str:
    """The names as whole identifiers, in exactly this case."""
    return rf"(?<![A-Za-z0-9_]){'(?:' + '|'.join(names) + ')'}(?![A-Za-z0-9_])"


ROWS: Final = (
    # Concepts.
    Row(_word("beside", "besides"), "auxiliary; next to; as well as"),
    Row(_word("lookers?", "looks? (?:at|beside|for itself)", "looked(?![_ ]up)", "look beside"), "auxiliary probe; read, check"),
    Row(_name("looks(?! up)", "Look(?! up)", "Looks(?! up)"), "auxiliary results"),
    Row(_word("doctor's checks?", "checks? of the doctor", "check-?lists?"), "preflight checks"),
    Row(_word("askers?", "asks?", "asked", "asking"), "request; look up; query; read"),
    Row(_word("tells?", "told", "telling"), "report, show, name, record"),
    Row(_word("says?", "said", "saying"), "report, state, show; message, text"),
    Row(_word("hears?", "heard"), "receive"),
    Row(_word("desks?", "drawers?", "keepers?"), "cache, entry, monitor"),
    Row(_word("glimpses?", "greetings?", "greet"), "pending result; endpoint check"),
    Row(_word("judge[sd]?", "judg(?:e?ment|ing)s?"), "classify, assess; finding; with a verdict"),
    Row(_word("ours", "our own", "mistakes? of our own"), "internal, exporter-side"),
    Row(_word("twins?"), "counterpart code"),
    Row(_word("catalogues?"), "codes; the table of codes"),
    Row(_word("in force", "taken over", "takes? over", "taken up"), "active, applied, reloaded"),
    Row(_word("way out", "ways out", "roads?"), "route; outbound network"),
    # Words of the style rules.
    Row(_word("whence", "amiss", "hereby", "seldom", "merely", "wholly", "thereof", "therein"), "plain words"),
    Row(_word("whoever", "nobody", "somebody", "whom"), "the actor: client, operator, target, exporter"),
    Row(_word("mends?", "mended", "mending"), "fix, recover"),
    Row(_word("of which", "of whose", "than which", "in which case", "but for", "be it"), "two sentences"),
    Row(_word("as it is now", "did so", "does so", "those of them", "by now", "stands? still", "ado"), "name the subject"),
    Row(_word("nor"), "or; and not", {("*", "not from a trusted service nor via"): "a sentence of Key Vault"}),
    # Names that classes, functions and modules had.
    Row(_name("TokenDesk", "_Drawer", "_Flight", "Grant", "TokenAnswer", "Cycles", "serves_for"), "TokenCache, TokenResult, TokenReusePolicy"),
    Row(_name("Glimpse", "cut_short", "Greeting", "SecretKeeper"), "PendingResult, EndpointResult, SecretCache"),
    Row(_name("Ports", "Listeners", "_Lane", "Preflights", "Examination", "SecretLook", "_Heard", "(?<!Not )Found"), "see the layers of CONTRIBUTING.md"),
    Row(_name("ExpiryDesk", "Asker", "Watched", "CredentialEnd", "asks_key_vault_as"), "ExpiryMonitor, ExpiryLookup, CredentialExpiry"),
    Row(_name("NotingTransport", "NotingSocket", "ObservedTls", "PoolBusy", "DaemonPool"), "RecordingTransport, PoolExhausted, DaemonThreadPool"),
    Row(_name("Tally", "Ties", "Standing", "_Kept"), "TargetCounters, SeriesOwners, TargetRecord"),
    Row(_name("Spot", "Gathered", "complain_of_type", "keys_once", "what_to_do", "about_ends"), "Location, LoadedFiles, report_wrong_type, …"),
    Row(_name("Seen", "Case", "case_of", "lets_in", "Seldom", "Places", "People", "Machines", "OnDemand"), "ProbeOnceResult, SupportBundle, …"),
    Row(_name("World", "Estate", "Front", "Management", "Site", "Choice"), "SimulatorState, Environment, TlsFrontend, ControlApi, Urls, TargetQuery", {("*", "Sec-Fetch-Site"): "a header of browsers"}),
    # Public names of before 0.1.0.
    Row("beside_interval|recovery_last_proof|ekm_judged_probes|ekm_unready_probes|sim/reread|EkmOtherCredentialEnds|EkmRecoveryProofOld",
        "see CHANGELOG.md"),
)  # fmt: skip
# How a metric's HELP must not begin: it has to name its subject.
HELP_BEGINNINGS: Final = ("It ", "When it", "Those", "Of the")


def paths(wanted: Iterable[str] = ()) -> list[str]:
    """The tracked text files below the given paths, or all of them."""
    listed = subprocess.run(  # noqa: S603 - nothing from outside the tests
        ["git", "ls-files", "--", *wanted],  # noqa: S607 - the git of whoever runs it
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [path for path in listed if (ROOT / path).is_file() and not any(fnmatch(path, glob) for glob in SKIPPED)]


def findings(path: str) -> Iterator[str]:
    """`path:line: word: use …` for each use of a replaced word that no row allows."""
    try:
        text = (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        for row in ROWS:
            for found in re.finditer(row.pattern, line):
                if not row.is_allowed(path, line):
                    yield f"{path}:{number}: {found.group()!r}: use {row.instead}"


if __name__ == "__main__":
    for one in paths(sys.argv[1:]):
        print(*findings(one), sep="\n", end="\n" if any(findings(one)) else "")  # noqa: T201
