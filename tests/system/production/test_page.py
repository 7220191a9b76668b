"""docs/production.md is short, its PowerShell types what its shell types, and what the walk does by hand is on the page."""

import re

from tests.support.transcripts import blocks, section, transcript
from tests.system.production.reader import BY_HAND, PAGE, ROOT, STEPS, step

LIMIT = 2000


def of_exporter(lines):
    """Return the commands of the exporter, as a shell writes them."""
    return [line.replace("\\", "/").partition(" > ")[0] for line in lines if line.startswith("ekm-exporter ")]


def powershell(number):
    return "\n".join(blocks(section(PAGE, f"{number} "), "powershell")).splitlines()


def test_page_has_at_most_two_thousand_words():
    table = re.compile(r"<!-- evidence:.*?<!-- end of the evidence -->", re.DOTALL)  # looked up, not read
    # A reader with a Prometheus does not read the section that sets one up.
    read = PAGE.replace(section(PAGE, "Without Prometheus"), "")
    assert len(table.sub("", read).split()) <= LIMIT


def test_steps_are_all_that_have_commands_to_type():
    headings = re.findall(r"^## (\d+) ", PAGE, re.MULTILINE)
    assert list(map(int, headings)) == [*STEPS, STEPS.stop]
    assert transcript(PAGE) == [command for number in STEPS for command in step(number)]


def test_powershell_has_the_commands_of_the_shell():
    for number in STEPS:
        windows, linux = of_exporter(powershell(number)), of_exporter(command for command, _ in step(number))
        assert [line for line in windows if " service " not in line] == linux, number


def test_powershell_stores_each_secret_that_the_shell_stores():
    typed = re.findall(r"head -n 1 > secrets/([\w-]+)", PAGE)
    changed = re.findall(r"^\$ sed .* secrets/([\w-]+)$", PAGE, re.MULTILINE)
    assert re.findall(r"^ekm-exporter service secret ([\w-]+)$", PAGE, re.MULTILINE) == typed + changed
    assert re.findall(r"_file: secrets/([\w-]+)", PAGE) == typed


def test_each_command_by_hand_is_on_the_page():
    typed = [command for number in STEPS for command, _ in step(number)]
    assert [beginning for beginning in BY_HAND if not any(one.startswith(beginning) for one in typed)] == []


def test_installation_is_that_of_the_page_about_it():
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    installs = [command for command, _ in step(1) if command.startswith(("python3", "/opt/"))]
    assert len(installs) == 3
    assert [command for command in installs if f"\n{command}\n" not in page] == []
