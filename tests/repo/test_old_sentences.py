"""No text of the project claims that an open database simply goes on without its key."""

import subprocess

from tests.repo.old_sentences import findings, read
from tests.repo.vocabulary import ROOT


def test_no_text_lets_databases_go_on_until_a_restart() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S607 - git of the PATH
    assert [found for path in tracked for found in findings(path, read(path))] == []
