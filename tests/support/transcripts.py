"""The commands of a document, each with the lines that the document shows below it."""

import re

Transcript = list[tuple[str, list[str]]]


def transcript(text: str, prompt: str = "$ ") -> Transcript:
    """Return the commands in the `console` blocks of a Markdown text."""
    found: Transcript = []
    for line in "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)).splitlines():
        if line.startswith(prompt):
            found.append((line.removeprefix(prompt), []))
        else:
            found[-1][1].append(line)
    return found


def section(text: str, beginning: str) -> str:
    """Return the text below the heading that begins so."""
    (found,) = re.findall(rf"^## {re.escape(beginning)}.*\n((?:(?!## ).*\n)*)", text, re.MULTILINE)
    return str(found)


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of a language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"(?m)^{indent}", "", code) for indent, code in found]


def missing(lines: list[str], output: str) -> list[str]:
    """Return the shown lines that the output lacks; times, ids and addresses may differ, `...` is any text."""
    lacking = []
    for line in lines:
        pattern = re.escape(line)
        pattern = re.sub(r"\d\d\d\d\\-\d\d\\-\d\dT[\d:.\\]+Z", r"[-0-9T:.]+Z", pattern)
        pattern = re.sub(r"\d+\\\.\d\\ ms", r"[0-9.]+ m?s", pattern)
        pattern = re.sub(r"\d+\\ min\\ ago", r"[0-9]+ ?(s|min|h) ago", pattern)
        if line != "..." and line.strip() != "..." and not re.search(f"^{pattern}$", output, re.MULTILINE):
            lacking.append(line)
    return lacking
