"""Each problem has its line: bad/NAME.yml must give exactly the lines of bad/NAME.txt.

`python -m tests.unit.config.test_problems` rewrites the .txt files; read the difference.
"""

import os
from pathlib import Path

import pytest

from exporter.config.load import load_config

BAD = Path(__file__).parent / "bad"
FILES = sorted(path.name for path in BAD.glob("*.yml"))


def lines(name: str) -> str:
    loaded = load_config(Path(name))
    assert loaded.config is None
    assert loaded.problems
    warnings = [f"{warning.where}: warning: {warning.what}" for warning in loaded.warnings]
    return "".join(f"{line}\n" for line in [*map(str, loaded.problems), *warnings])


@pytest.mark.parametrize("name", FILES)
def test_every_problem_is_reported_with_its_location(name, monkeypatch):
    monkeypatch.chdir(BAD)
    assert lines(name) == (BAD / name).with_suffix(".txt").read_text(encoding="utf-8")


def test_no_expected_line_contains_a_secret():
    texts = [path.read_text(encoding="utf-8") for path in BAD.glob("*.txt")]
    assert len(texts) == len(FILES)
    assert not [text for text in texts if "S3CRET" in text or "S3cret" in text]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1:1: the file is empty"),
        (b"\xef\xbb\xbf", "1:1: the file is empty"),
        (b"targets:\n  - name: \xff\n", "2:11: not UTF-8: byte 0xff: save the file as UTF-8"),
        (b"\xff\xfet\x00a\x00", "1:1: UTF-16: save the file as UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00", "1:1: not a text file: character U+007F"),
        (b"a: b\nc: \x00", "2:4: not a text file: character U+0000"),
        (
            b'targets: "\\ud800"',
            (
                "1:13: not YAML: found invalid Unicode character escape code while parsing a quoted scalar: "
                "check quotes, brackets and indentation up to here"
            ),
        ),
        (b"[" * 900, "1:33: nested deeper than 32 levels"),
        (b"- " * 40, "1:65: nested deeper than 32 levels"),
        (b"&a [*a]", "1:5: an alias without an anchor before it: put a text that starts with * in quotes"),
        (b"x: !!binary aGk=", "1:4: an unknown tag: remove it, or put a text that starts with ! in quotes"),
        (b"x: !!set {a}", "1:4: an unknown tag: remove it, or put a text that starts with ! in quotes"),
    ],
)
def test_unreadable_document_gets_one_line(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ekm.yml").write_bytes(content)
    loaded = load_config(Path("ekm.yml"))
    assert [str(problem) for problem in loaded.problems] == [f"ekm.yml:{message}"]


def test_unreadable_file_gets_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("large.yml").write_bytes(b"#" * (16 * 1024 * 1024 + 1))
    expected = {"missing.yml": "no such file", ".": "a directory, not a file", "pipe": "not a regular file"}
    expected["large.yml"] = "larger than 16384 KiB"
    expected["/dev/zero"] = "not a regular file"
    found = {name: [problem.message for problem in load_config(Path(name)).problems] for name in expected}
    assert found == {name: [message] for name, message in expected.items()}


def test_value_behind_an_alias_is_checked_where_it_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ekm.yml").write_text(
        "credentials: {c: {type: default}}\n"
        "targets:\n"
        "  - {name: a, vault: contoso, key: k/1, credential: c, labels: &l {job: x}}\n"
        "  - {name: b, vault: contoso, key: k/1, credential: c, labels: *l }\n"
    )
    assert [problem.path for problem in load_config(Path("ekm.yml")).problems] == [
        "targets[0].labels.job",
        "targets[1].labels.job",
    ]


def test_nested_includes_have_a_limit(tmp_path):
    for number in range(40):
        (tmp_path / f"{number}.yml").write_text(f"include: [{number + 1}.yml]\n")
    assert [problem.message for problem in load_config(tmp_path / "0.yml").problems] == [
        "more than 16 nested includes: include the file from the main file"
    ]


def test_included_files_have_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("exporter.config.files.FILE_LIMIT", 2)
    (tmp_path / "ekm.yml").write_text("include: [a.yml, b.yml]\n")
    for name in ("a.yml", "b.yml"):
        (tmp_path / name).write_text("targets: []\n")
    assert "more than 2 files: merge some of them" in [problem.message for problem in load_config(tmp_path / "ekm.yml").problems]


def test_empty_certificate_file_is_a_problem(tmp_path):
    (tmp_path / "sp.pem").touch()
    path = tmp_path / "ekm.yml"
    client = "client_id: 66666666-7777-8888-9999-000000000000"
    path.write_text(
        f"credentials: {{c: {{type: client_certificate, {client}, certificate_file: sp.pem}}}}\n"
        "targets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"
    )
    [problem] = load_config(path).problems
    assert (problem.path, problem.message) == ("credentials.c.certificate_file", "is empty")


if __name__ == "__main__":
    from tests.unit.config.conftest import SECRETS

    os.environ.update(SECRETS)
    os.chdir(BAD)
    for file in FILES:
        Path(file).with_suffix(".txt").write_text(lines(file), encoding="utf-8")
