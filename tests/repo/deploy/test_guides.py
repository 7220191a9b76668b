"""The links and the T-SQL of every page are valid, and the script of the roll-over keeps the secret."""

import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from tests.support.transcripts import blocks

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    str(path.relative_to(ROOT)) for pattern in ("*.md", "docs/**/*.md", "alerts/**/*.md") for path in ROOT.glob(pattern)
)
# Statements that sqlglot passes through; sqlglot checks their end only.
AS_IT_IS = re.compile(
    r"(?:ALTER CREDENTIAL|CREATE CREDENTIAL|(?:CREATE|ALTER|DROP) LOGIN|CREATE USER|(?:CREATE|DROP) ASYMMETRIC KEY|ALTER AVAILABILITY GROUP"
    r"|(?:CREATE|ALTER) DATABASE ENCRYPTION KEY|ALTER CRYPTOGRAPHIC PROVIDER|ALTER DATABASE \[\w+\] SET)\b"
)
# sqlglot cannot parse these statements.
UNPARSED = re.compile(
    r"RESTORE FILELISTONLY FROM (?:DISK|URL) = N'[^']+';|BACKUP DATABASE \[\w+\] TO DISK = 'NUL' WITH COPY_ONLY;"
)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(path: Path) -> set[str]:
    whole = path.read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", whole, flags=re.DOTALL), re.MULTILINE)
    from_titles = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return from_titles | set(re.findall(r'<a id="([^"]+)"', whole))


@pytest.mark.parametrize("page", PAGES)
def test_page_links_and_anchors_exist(page):
    prose = re.sub(r"```.*?```", "", text(page), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert there.exists(), link
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), link


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(text(page), "sql")])
def test_sql_block_of_a_page_is_t_sql(page):
    for code in blocks(text(page), "sql"):
        for batch in re.split(r"(?mi)^GO\s*$", UNPARSED.sub("", code)):
            for one in sqlglot.parse(batch, dialect="tsql"):
                assert one is None or not isinstance(one, exp.Command) or AS_IT_IS.match(one.sql("tsql", comments=False))


def typed_into_the_script(folder: Path, value: str) -> tuple[int, str]:
    """Return exit code and terminal output of the script that reads the secret."""
    [script] = [code for code in blocks(text("docs/rollover.md"), "sh") if "read -r" in code]
    (folder / "secrets").mkdir()
    own, other = pty.openpty()
    try:
        with subprocess.Popen(["sh", "-c", script], cwd=folder, stdin=other, stdout=other, stderr=other) as shell:  # noqa: S603, S607 - the page's
            os.close(other)
            shown = ""
            while "value: " not in shown:
                shown += os.read(own, 1024).decode()
            os.write(own, f"{value}\n".encode())
            with contextlib.suppress(OSError):  # the shell has ended
                while more := os.read(own, 1024):
                    shown += more.decode()
        return shell.returncode, shown
    finally:
        os.close(own)


def test_rollover_script_writes_the_secret_and_shows_nothing(tmp_path):
    code, shown = typed_into_the_script(tmp_path, "a~b-c \\d")
    written = tmp_path / "secrets" / "ekm-credential-2027"
    assert code == 0, shown
    assert written.read_text() == "66666666777788889999000000000000" + "a~b-c \\d"
    assert written.stat().st_mode & 0o777 == 0o600
    assert "a~b" not in shown


def test_rollover_script_without_input_writes_nothing(tmp_path):
    code, shown = typed_into_the_script(tmp_path, "")
    assert code == 1
    assert "nothing was typed" in shown
    assert list((tmp_path / "secrets").iterdir()) == []
