"""Shell commands of the pages: valid PowerShell for each Unix block, and existing `az` commands."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from tests.repo.powershell import errors, parsed
from tests.repo.release.az_commands import AZ, EVERYWHERE

ROOT = Path(__file__).parents[3]
FILES = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("alerts/runbooks/*.md"))
PAGES = sorted(str(path.relative_to(ROOT)) for path in FILES)
# PowerShell takes such a flag as one argument; the grammar does not.
DOTTED_FLAG = re.compile(r"(?<=\s)--[\w-]+(?:\.[\w-]+)+")
# A line that means the same in sh and PowerShell: one program, no continuation, no substitution, no single quotes.
PORTABLE = re.compile(r"(?:#.*|(?:ekm-exporter|az|pip|helm|kubectl) (?:[^'\\$&;]|\$\w)*)")
# Pages for Unix, containers and Kubernetes, and why a DBA on Windows does not need their commands.
UNIX = {
    "docs/install.md": "Windows has docs/windows.md",
    "docs/securing.md": "Secrets of Kubernetes",
}


def fenced(page: str) -> list[tuple[str, str]]:
    """Return language and code of each fenced block, without the indentation of a list."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [(language, re.sub(rf"(?m)^{indent}", "", code)) for indent, language, code in found]


def powershell(page: str) -> list[str]:
    return [code for language, code in fenced(page) if language == "powershell"]


def mistakes(code: str) -> list[object]:
    return errors(parsed(DOTTED_FLAG.sub(r'"\g<0>"', code)))


@pytest.mark.parametrize("page", [page for page in PAGES if powershell(page)])
def test_powershell_block_parses(page):
    for code in powershell(page):
        assert mistakes(code) == [], code


@pytest.mark.parametrize("page", [page for page in PAGES if powershell(page)])
def test_powershell_block_has_no_unix_syntax(page):
    for code in powershell(page):
        assert not re.search(r"\\$|^export |^\w+=\$\(|'\{|<<EOF", code, re.MULTILINE), code


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith(("docs/", "deploy/")) and page not in UNIX])
def test_unix_block_has_a_powershell_block_next_to_it(page):
    for (language, code), (following, _) in pairwise([*fenced(page), ("", "")]):
        is_portable = all(PORTABLE.fullmatch(line) for line in code.splitlines() if line.strip())
        assert language != "sh" or is_portable or following == "powershell", code


def az_lines(page: str) -> list[str]:
    """Return each `az` command of the page, in blocks, in code spans, and in a text up to the end of its sentence."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(r"(?:^|`|\(|= )(az [a-z](?:(?!\. [A-Z])[^`\n])*)", text, re.MULTILINE)


def words(line: str) -> list[str]:
    try:
        return shlex.split(line.split("   #", maxsplit=1)[0].rstrip(")").replace("…", "x"))
    except ValueError:
        return line.split()


@pytest.mark.parametrize("page", [page for page in PAGES if az_lines(page)])
def test_az_command_exists_with_its_arguments(page):
    for line in az_lines(page):
        parts = words(line)[1:]
        command = next((" ".join(parts[:count]) for count in range(len(parts), 0, -1) if " ".join(parts[:count]) in AZ), None)
        assert command, line
        flags = {part.split("=")[0] for part in parts if re.match(r"--?[a-z]", part)}
        assert flags <= AZ[command] | EVERYWHERE, line
