"""Words and names that the project replaced, and the word that stands for each.

`python -m tests.repo.vocabulary PATH...` prints every line of those paths that breaks a row of the table.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# Foreign and generated files, and the two files that contain the old words.
SKIPPED: Final = (
    "LICENSE",
    "*-LICENSE.txt",
    "*.lock",
    "*.svg",
    "*.png",
    "*package-lock.json",
    "dashboards/*.json",
    "dashboards/*.v2.yaml",
    "tests/repo/*vocabulary.py",
    "tests/recorded/*",
    "tests/fuzz/crashers/*",
)


@dataclass(frozen=True)
class Row:
    """One replaced word: a pattern, the word that stands for it, and the uses that remain allowed."""

    pattern: str
    instead: str
    # The key is a glob of paths and a text that the line contains; the value is the reason.
    allowed: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def is_allowed(self, path: str, line: str) -> bool:
        return any(fnmatch(path, glob) and text in line for glob, text in self.allowed)


def _word(*alternatives: str) -> str:
    """Return a pattern of the alternatives in any case, as whole words or as parts of a snake_case name."""
    return rf"(?i:(?<![a-z])(?:{'|'.join(alternatives)})(?![a-z]))".replace(" ", "[ _]")


def _name(*names: str) -> str:
    """Return a pattern of the names as whole identifiers, in exactly this case."""
    return rf"(?<![A-Za-z0-9_]){'(?:' + '|'.join(names) + ')'}(?![A-Za-z0-9_])"


ROWS: Final = (
    # Concepts.
    Row(_word("beside", "besides"), "auxiliary; next to; as well as"),
    Row(_word("lookers?", "looks? (?:at|beside|for itself)", "looked(?! up)", "look beside"), "auxiliary probe; read, check"),
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
    Row(_word("nor"), "or; and not",
        {("*", "not from a trusted service nor via"): "a sentence of Key Vault",
         ("alerts/azure-rule-groups.json", r"\nor "): "a line break of JSON before or",
         ("alerts/azure-rule-groups.json", r"\nor\n"): "a line break of JSON before or"}),
    # Names that classes, functions and modules had.
    Row(_name("TokenDesk", "_Drawer", "_Flight", "Grant", "TokenAnswer", "Cycles", "serves_for"), "TokenCache, TokenResult, TokenReusePolicy"),
    Row(_name("Glimpse", "cut_short", "Greeting", "SecretKeeper"), "PendingResult, EndpointResult, SecretCache"),
    Row(_name("Ports", "Listeners", "_Lane", "Preflights", "Examination", "SecretLook", "_Heard", "(?<!Not )Found"), "see the layers of CONTRIBUTING.md", {("*", "302 Found"): "a reason phrase of HTTP"}),
    Row(_name("ExpiryDesk", "Asker", "Watched", "CredentialEnd", "asks_key_vault_as"), "ExpiryMonitor, ExpiryLookup, CredentialExpiry"),
    Row(_name("NotingTransport", "NotingSocket", "ObservedTls", "PoolBusy", "DaemonPool"), "RecordingTransport, PoolExhausted, DaemonThreadPool"),
    Row(_name("Tally", "Ties", "Standing", "_Kept"), "TargetCounters, SeriesOwners, TargetRecord"),
    Row(_name("Spot", "Gathered", "complain_of_type", "keys_once", "what_to_do", "about_ends"), "Location, LoadedFiles, report_wrong_type, …"),
    Row(_name("on_bug", "UnfinishedAnswers", "MOST_ANSWERS", "may_end", "way_to_entra", "look_ups", "WHO_ARE_YOU"), "on_internal_error, may_expire, entra_route, …"),
    Row(_name("Seen", "Case", "case_of", "lets_in", "Seldom", "Places", "People", "Machines", "OnDemand"), "ProbeOnceResult, SupportBundle, …"),
    Row(_name("World", "Estate", "Front", "Management", "Site", "Choice"), "SimulatorState, Environment, TlsFrontend, ControlApi, Urls, TargetQuery", {("*", "Sec-Fetch-Site"): "a header of browsers"}),
    # Variables, attributes and members that carried another word than their class.
    Row(_name("site: Urls", "lock: AccessControl", "choice: TargetQuery", "gathered: LoadedFiles", "_gathered", "look: AuxiliaryResult"), "urls, access_control, query, loaded, result"),
    Row(_name("answer: RecordedResponse", "found: Explanation", "beat: StoryEvent", "what: AuxiliaryKind", "window: TokenReusePolicy", "end: CredentialExpiry"), "response, explanation, event, kind, policy, expiry"),
    Row(_name("Retention[.]LOOK", "Retention[.]KNOWN", "credential_ends", "ends_of", "ends_table", "held_against", "found_instead"), "AUXILIARY, LAST_KNOWN, credential_expiries, …"),
    # Public names before 0.1.0.
    Row("beside_interval|recovery_last_proof|ekm_judged_probes|ekm_unready_probes|sim/reread|EkmOtherCredentialEnds|EkmRecoveryProofOld",
        "the public name of today"),
)  # fmt: skip
# The name of a function or constant does not begin like this; a callback begins with on_.
PREPOSITIONS: Final = ("about", "after", "among", "at", "before", "behind", "between", "in", "of", "on", "under")
# A HELP text names its subject and does not begin like this.
HELP_BEGINNINGS: Final = ("It ", "When it", "Those", "Of the")


def paths(wanted: Iterable[str] = ()) -> list[str]:
    """Return the tracked files below the given paths, or all of them."""
    listed = subprocess.run(  # noqa: S603 - nothing from outside the tests
        ["git", "ls-files", "--", *wanted],  # noqa: S607 - git of the PATH
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [path for path in listed if (ROOT / path).is_file() and not any(fnmatch(path, glob) for glob in SKIPPED)]


def findings(path: str) -> Iterator[str]:
    """Yield `path:line: word: use …` for each use of a replaced word that no row allows."""
    try:
        text = (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    rows = [row for row in ROWS if re.search(row.pattern, text)]
    for number, line in enumerate(text.splitlines(), 1) if rows else ():
        for row in rows:
            for found in re.finditer(row.pattern, line):
                if not row.is_allowed(path, line):
                    yield f"{path}:{number}: {found.group()!r}: use {row.instead}"


def classes(path: str) -> Iterator[str]:
    """Yield the names of the classes that a module defines."""
    yield from (node.name for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef))


def prepositions(path: str) -> Iterator[str]:
    """Yield `path:line: name` for each function and constant of a module whose name begins with a preposition."""
    for node in ast.walk(_tree(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                is_named = not name.lstrip("_").startswith("on_")
            case ast.Name(id=name, ctx=ast.Store()):
                is_named = name.isupper()
            case _:
                continue
        if is_named and name.lower().lstrip("_").partition("_")[0] in PREPOSITIONS:
            yield f"{path}:{node.lineno}: {name}"


def _tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


if __name__ == "__main__":
    for one in paths(sys.argv[1:]):
        for each in findings(one):
            print(each)  # noqa: T201
