"""`Explanation`, the meaning of a text, and all views of it and of a code: text, Markdown (docs/codes.md) and JSON data.

The explanation of a code by itself needs no other table than that of the codes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.knowledge.code_row import (
    EVENT_LOG,
    FREQUENT,
    OWNERS,
    WITHOUT_THE_KEY,
    ConnectorError,
    Family,
    Layer,
    Owner,
    words_in,
)
from exporter.knowledge.codes import both_numbers, find

if TYPE_CHECKING:
    from exporter.knowledge.reasons import Reason

LONGEST = 16_000  # characters of a pasted text that are read


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The meaning of one text. `rows` are connector codes: the whole result, or the codes that belong to the other fields."""

    title: str = ""
    summary: str = ""
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()  # lines to copy
    rows: tuple[ConnectorError, ...] = ()
    effect: str = ""  # of a text without a code
    reason: Reason | None = None  # if the text stands for one
    owner: Owner = Owner.DBA  # who acts, if the text is not that of a code
    also: tuple[str, ...] = ()  # titles of other codes and messages in the same text

    @property
    def is_code(self) -> bool:
        """Whether the text is a connector code and nothing else needs to be shown."""
        return not self.title


def explain_codes(*rows: ConnectorError | None) -> Explanation | None:
    """Explain codes by themselves; None without any."""
    found = tuple(row for row in rows if row is not None)
    return Explanation(rows=found) if found else None


def explain_exactly(text: str) -> Explanation | None:
    """Explain a text that is nothing but a code or a symbol."""
    return explain_codes(*find(trim(text)))


def trim(text: str) -> str:
    """Return the text in one line, without what stands around it in a sentence."""
    return join_lines(text).strip(" \t\r\n.,;:()[]'\"")


def join_lines(text: str) -> str:
    """Return the text in one line: a console breaks sentences anywhere."""
    return " ".join(text[:LONGEST].split())


# Fixed text of docs/codes.md.

INTRODUCTION = """\
# Codes of the SQL Server Connector

<!-- Generated: ekm-exporter explain --format md > docs/codes.md -->

When SQL Server cannot use a key in Azure Key Vault, it prints "Provider error code: N". This page lists every N with its
meaning, causes and actions. The exporter makes the same requests and reports the same numbers.
The 25 codes that a DBA meets come first; the other 121 follow, by step. `ekm-exporter explain N` prints one code,
`ekm-exporter explain` lists all 146.

**Owner** is the team that can fix the failure: DBA, identity (Entra ID), network, vault, or the operator of this exporter.
Capital words in commands (`VAULT`, `KEY`, `TARGET`) stand for your own names; `probe` also needs `--config.file`. Status pages
and the output of `probe` contain the target's own names and only the actions that match the reason."""

# The page of all codes states once what about a hundred of them share.
_CLOCKS = f"""\
## Without the key

{WITHOUT_THE_KEY} [What needs the vault](what-needs-the-vault.md) has each operation, with its source."""

_BACKGROUND = """\
## What `explain` takes

`ekm-exporter explain` takes a code and what surrounds it: a message of SQL Server in any language, a database state (RECOVERY_PENDING), a text
of the connector, an AADSTS number or a JSON answer, an error of Windows (0x80072EE7), PowerShell or curl, or whole log lines. With
`-`, it reads lines from standard input. A number is a code only with a sign that it is one: alone, after `Provider error code:` in any language,
or in a line of the connector. The number of a process, a port, rows or a message of SQL Server is none. Of several findings, the cause comes first.

## Two generations of numbers

Connectors before 1.0.5.0 use 30xx for the HTTP layer. Connectors with version 1.0.5.0 (2018 until today) use 31xx. Twenty
codes therefore have a **counterpart**: one failure, one symbol, two numbers, such as 3077 and 3113. `connector_generation`
sets which number a target reports: `classic` (30xx, the default) or `current` (31xx). It changes nothing else. Alerts accept
both, and texts name both: "3077 (3113 on connector 1.0.5.0)".

All other codes are the same under both settings. The more specific ones (3120 to 3128, and 32xx to 4000) exist since 1.0.5.0.
An older connector reports the less specific code of the HTTP layer for the same failure, the **fallback code**:

| condition | reported here | connector before 1.0.5.0 |
| --- | --- | --- |
| host name not resolved | [3900](#3900) | [3008](#3008) |
| Entra ID refuses the credential (401) | [3303](#3303) | [3010](#3010) |
| the vault refuses a token that was issued (401) | [3305](#3305) | [3010](#3010) |
| Entra ID responds with 400 | [3128](#3128) | [3012](#3012); builds of 1.0.5.0 from 2018 to 2020: [3110](#3110) |
| a response that cannot be read | 32xx, 33xx, 34xx, 36xx, 37xx | not known |

The mapping of builds to numbers comes from the connector's published code lists and from one build of 2020, not from tests
of every build. If your connector shows another number than this page, please report it.

401 and 404 are not connector codes. They are HTTP statuses that the connector's event log shows in the same place.

## What a probe can see

A probe makes the connector's requests from outside, so it observes network, Entra ID and vault. It cannot observe the inside
of the SQL Server host: memory, the Windows registry, local Windows calls. Each such code states why no probe can see it. This
page explains these codes too, because SQL Server can print them."""

_LAYER_TITLES = {
    Layer.ENGINE: "Codes of SQL Server's engine (0 to 7)",
    Layer.EVENT_LINE: "Statuses in the event log (401, 404)",
    Layer.INPUT: "Names, secrets, thumbprints, registry (2049 to 2058)",
    Layer.HTTP: "HTTP (3000 to 3128)",
    Layer.CHALLENGE: "Reading the sign-in challenge (3200 to 3208)",
    Layer.TOKEN: "Sign-in (3300 to 3308)",
    Layer.GET_KEY: "Reading the key (3400 to 3412)",
    Layer.BACKUP: "Key backup (3500 to 3506)",
    Layer.WRAP_KEY: "Wrap (3600 to 3609)",
    Layer.UNWRAP_KEY: "Unwrap (3700 to 3709)",
    Layer.CREDENTIAL: "Building the sign-in request (3800 to 3822)",
    Layer.NAME: "Host names (3900)",
    Layer.RETRY: "Retry logic (4000)",
}

# What Microsoft's page names for a number that its table does not have.
OTHERWISE: tuple[str, ...] = (
    "No route to the internet or the vault: `ekm-exporter doctor TARGET` tests names, ports, proxy and certificates.",
    "Key Vault or Entra ID is down: read https://azure.status.microsoft, and try again later.",
    "The asymmetric key was deleted in the vault or dropped in SQL Server: `az keyvault key list-deleted --vault-name VAULT`.",
    "With `Cannot load library`, the Visual C++ runtime is missing or wrong: `ekm-exporter explain 33027`.",
    EVENT_LOG,
)

WIDTH = 80
_SPAN = re.compile(r"`[^`]*`")


def visibility(row: ConnectorError) -> str:
    """Describe in sentences whether a probe can see the code, and if not, why."""
    return "A probe can see it." if row.observable else f"A probe cannot see it. {row.unobservable_because}"


def elsewhere(row: ConnectorError) -> str:
    """Describe the less specific code of the same failure; empty if there is none."""
    if row.fallback is None:
        return ""
    return (
        f"The HTTP layer's code for the same failure is {both_numbers(row.fallback)}. "
        "Connectors without this code report that one, and event logs may show it."
    )


def effect(explanation: Explanation) -> str:
    """Return what fails in SQL Server, by the first code of an explanation; else by the text itself; empty if nothing fails."""
    return next((row.effect for row in explanation.rows), explanation.effect)


def as_data(row: ConnectorError) -> dict[str, object]:
    """Return the row as JSON data. The names are public; fields may be added."""
    return {
        "code": row.code,
        "symbol": row.symbol,
        "generation": row.generation.value,
        "counterpart": row.counterpart,
        "layer": row.layer.value,
        "category": row.category.value,
        "owner": row.owner.value,
        "observable": row.observable,
        "unobservable_because": row.unobservable_because or None,
        "fallback": row.fallback,
        "summary": row.summary,
        "effect": row.effect or None,
        "causes": list(row.causes),
        "actions": list(row.actions),
        "commands": list(row.commands),
    }


def as_text(row: ConnectorError) -> str:
    """Return the row as terminal text, with whole `code` spans."""
    about = {
        "Owner": _team(row.owner),
        "Kind": f"{row.category.value}, layer {row.layer.value}",
        "Probe": visibility(row),
        "Elsewhere": elsewhere(row),
    }
    lines = "\n".join(wrap(value, first=f"{name:<10}", rest=" " * 10) for name, value in about.items() if value)
    return _joined(f"{both_numbers(row.code)}\n{row.symbol}", *_body(row, row.effect), lines)


def explanation_text(explanation: Explanation) -> str:
    """Return an explanation as terminal text. It shows the code, or title, causes, actions and related codes."""
    also = "\n".join(wrap(f"Also in this text: {each}", rest="  ") for each in explanation.also)
    if explanation.is_code:
        return _joined(as_text(explanation.rows[0]), also)
    more = "\n".join(f"More: ekm-exporter explain {row.code}" for row in explanation.rows)
    return _joined(
        explanation.title, *_body(explanation, effect(explanation)), f"Owner     {_team(explanation.owner)}", more, also
    )


def _team(owner: Owner) -> str:
    return f"{owner.value}: {OWNERS[owner]}"


def _joined(*blocks: str) -> str:
    return "\n\n".join(filter(None, blocks))


def _body(described: ConnectorError | Explanation, effect: str) -> tuple[str, ...]:
    words = [
        wrap(meaning, first=f"  {word:<12} ", rest=" " * 15) for word, meaning in words_in(described.actions, described.commands)
    ]
    return (
        wrap(described.summary),
        wrap(effect),
        _numbered("Likely causes, most likely first", described.causes),
        _numbered("What to do, in this order", described.actions),
        _listed("Commands:", [f"  {line}" for line in described.commands]),  # to copy: never wrapped
        _listed("In the commands:", words),  # what the capital words stand for
    )


def otherwise_text() -> str:
    """Return what to check for a number that no table lists."""
    return _numbered("For a failure that no table lists, check in this order", OTHERWISE)


def explanation_data(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as JSON data. It contains the code, or title, summary, causes, actions and related codes."""
    also = {"also": list(explanation.also)} if explanation.also else {}
    if explanation.is_code:
        return as_data(explanation.rows[0]) | also
    return {
        "title": explanation.title,
        "owner": explanation.owner.value,
        "summary": explanation.summary,
        "effect": effect(explanation) or None,
        "causes": list(explanation.causes),
        "actions": list(explanation.actions),
        "commands": list(explanation.commands),
        "codes": [row.code for row in explanation.rows],
        **also,
    }


def as_table(rows: Iterable[ConnectorError]) -> str:
    """Return a line per code: number, counterpart, symbol, owner, visible to a probe."""
    cells = [("CODE", "ALSO", "SYMBOL", "OWNER", "PROBE")]
    cells += [
        (f"{row.code}", f"{row.counterpart or '-'}", row.symbol, row.owner.value, "yes" if row.observable else "no")
        for row in rows
    ]
    return "\n".join(f"{code:<6}{also:<6}{symbol:<50}{owner:<10}{probe}" for code, also, symbol, owner, probe in cells)


def as_markdown(rows: Iterable[ConnectorError]) -> str:
    """Return the documentation page, in which each row has an anchor.

    The codes that a DBA meets come after the introduction, then all others by layer.
    """
    rows = tuple(rows)
    frequent = [row for code in FREQUENT for row in rows if code in (row.code, row.counterpart)]
    parts = [INTRODUCTION, _CLOCKS]
    if frequent:
        parts += ["## Codes that a DBA meets", _frequent_table(frequent), *map(_markdown_section, frequent)]
    parts.append(_BACKGROUND)
    for layer in Layer:
        sections = [_markdown_section(row) for row in rows if row.layer is layer and row not in frequent]
        parts += [f"## {_LAYER_TITLES[layer]}", *sections] if sections else []
    return "\n\n".join((*parts, "## A failure that no table lists", _markdown_list("Check in this order", OTHERWISE))) + "\n"


def _frequent_table(rows: Iterable[ConnectorError]) -> str:
    """Return a line per failure; a pair of numbers is one failure."""
    lines = ["| code | a DBA meets it if | owner |", "| --- | --- | --- |"]
    for row in (row for row in rows if row.code in FREQUENT):
        numbers = " or ".join(f"[{code}](#{code})" for code in (row.code, row.counterpart) if code is not None)
        lines.append(f"| {numbers} | {FREQUENT[row.code]} | {row.owner.value} |")
    return "\n".join(lines)


def _markdown_section(row: ConnectorError) -> str:
    """Return one code as Markdown. A current number links to its classic counterpart for the details."""
    when = "On connector 1.0.5.0" if row.generation is Family.CLASSIC else "Before connector 1.0.5.0"
    note = f"{when}: [{row.counterpart}](#{row.counterpart}). " if row.counterpart is not None else ""
    details = [f"Causes and actions: see [{row.counterpart}](#{row.counterpart})."]
    if row.generation is not Family.CURRENT:
        details = [_markdown_list("Likely causes", row.causes), _markdown_list("What to do", row.actions)]
        details += ["\n".join(["Commands:", "", "```", *row.commands, "```"])] if row.commands else []
    return _joined(
        f'<a id="{row.code}"></a>\n\n### {row.code} {row.symbol}',
        row.summary,
        row.effect.replace(WITHOUT_THE_KEY, "What fails now, later and at a restart: [without the key](#without-the-key)."),
        f"{note}Kind: {row.category.value}. Owner: {row.owner.value}. {visibility(row)}",
        elsewhere(row),
        *details,
    )


def _markdown_list(title: str, items: tuple[str, ...]) -> str:
    return f"{title}:\n\n" + "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1)) if items else ""


def _numbered(title: str, items: tuple[str, ...]) -> str:
    return _listed(f"{title}:", [wrap(item, first=f"  {number}. ", rest="     ") for number, item in enumerate(items, 1)])


def _listed(title: str, lines: list[str]) -> str:
    return "\n".join((title, *lines)) if lines else ""


def wrap(text: str, *, first: str = "", rest: str = "") -> str:
    """Wrap at `WIDTH`, between words but never inside a `code` span."""
    kept = _SPAN.sub(lambda span: span[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        kept, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(lines).replace("\0", " ")
