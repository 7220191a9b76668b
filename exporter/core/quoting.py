"""Names of others in the commands that the product prints: one function for each language.

A name comes from a configuration, a SQL Server, a vault or another exporter, and whoever copies the command trusts it. What cannot be
quoted safely becomes a word in capitals, which the reader fills in.

- `plain`: `az`, Az PowerShell, KQL, and all about an endpoint. On Windows `az` is a batch file, so cmd.exe parses its arguments a second
  time; a query becomes one line, where `//` begins a comment. Names of Azure need no other sign, so no other one is quoted.
- `word`: a path in a command that sh, PowerShell and cmd.exe take, as the text does not know who reads it.
- `sh` and `powershell`: if the shell is known. PowerShell takes the typographic quotation marks as straight ones.
- `sql_name` and `sql_text`: T-SQL. sqlcmd replaces `$(` within brackets and quotation marks too, and obeys a line that begins with `:` or
  `!!`, or is GO. A backquote ends the `code` span around a statement.
- `yaml`: lines of a configuration.
- `prose`: a name outside of commands.
"""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from typing import Final

_LONGEST_NAME: Final = 128  # of SQL Server's sysname
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*(?:/[A-Za-z0-9_.:-]+)*|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
_BARE_PATH: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./:-]*|(?:[A-Za-z]:|\\)\\[A-Za-z0-9_./\\:-]*[A-Za-z0-9_]")
# Or begins something within double quotes, in one of the shells.
_ENDS_A_WORD: Final = re.compile('["\u201c\u201d\u201e$`%!]|^-|.\\\\\\\\|\\\\$')
_POWERSHELL_QUOTES: Final = re.compile("['\u2018-\u201b]")
_PLAIN_YAML: Final = re.compile(r"(?:https://)?[A-Za-z](?::?[A-Za-z0-9._/-])*")
_YAML_WORDS: Final = frozenset(["true", "false", "yes", "no", "on", "off", "null", "y", "n"])  # for YAML 1.1


def _has_control(text: str) -> bool:
    """Whether a text has a line break, a control character or an invisible sign, such as one that turns the direction."""
    return any(unicodedata.category(sign)[0] == "C" or sign in "\u2028\u2029" for sign in text)


def plain(text: str, otherwise: str) -> str:
    """Return a name that needs no quotation in any language, else the word `otherwise`."""
    return text if _PLAIN.fullmatch(text) else otherwise


def word(text: str, otherwise: str) -> str:
    """Return a text as one word of a command for sh, PowerShell and cmd.exe, else the word `otherwise`."""
    if _BARE_PATH.fullmatch(text):
        return text
    return otherwise if not text or _has_control(text) or _ENDS_A_WORD.search(text) else f'"{text}"'


def sh(text: str) -> str:
    """Return a text as one word of sh."""
    return shlex.quote(text)


def powershell(text: str) -> str:
    """Return a text as a string of PowerShell."""
    return "'" + _POWERSHELL_QUOTES.sub(r"\g<0>\g<0>", text) + "'"


def sql_name(name: str, otherwise: str) -> str:
    """Return a name as T-SQL has it, in brackets, else the word `otherwise` in them."""
    is_safe = name and len(name) <= _LONGEST_NAME and "$(" not in name and "`" not in name and not _has_control(name)
    return f"[{name.replace(']', ']]') if is_safe else otherwise}]"


def sql_text(text: str) -> str:
    """Return a text as a string of T-SQL, for a statement that a driver sends."""
    return "N'" + text.replace("'", "''") + "'"


def yaml(text: str) -> str:
    """Return the text as a YAML scalar that is read as the same text, and that no `code` span ends."""
    is_plain = _PLAIN_YAML.fullmatch(text) and text.lower() not in _YAML_WORDS
    return text if is_plain else json.dumps(text, ensure_ascii=not text.isprintable()).replace("`", r"\u0060")


def prose(name: str) -> str:
    """Return a name for a sentence with `code` spans, of which it begins none."""
    return name.replace("`", "'")
