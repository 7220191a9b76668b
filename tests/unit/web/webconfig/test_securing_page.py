"""docs/securing.md: its tables and limits match the code, and its examples are valid."""

import re
from pathlib import Path

import pytest

from exporter.web import access, access_control, connections, listener

PAGE = Path(__file__).parents[4] / "docs" / "securing.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = [block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "tls_server_config" in block]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_each_example_is_valid_and_authenticates_every_client(folder, example):
    loaded = folder.load(example)
    assert (loaded.problems, loaded.warnings) == ((), ())
    assert loaded.config.authenticates_every_client


@pytest.mark.parametrize("path", sorted(access.OPEN_PATHS))
def test_every_open_path_is_named(path):
    assert f"`{path}`" in TEXT


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ("handshake, and the header", (connections.HEADER_SECONDS,)),
        ("between two requests", (connections.IDLE_SECONDS,)),
        ("a response that the client does not read", (connections.WRITE_SECONDS, listener.SECONDS_TO_TAKE_IT)),
        ("request line", (listener.LONGEST_LINE // 1000,)),
        ("a whole request", (connections.MOST_BYTES / 1024, access.LARGEST_BODY / 1024)),
        ("connections that wait", (connections.MOST_WAITING, connections.MOST_WAITING_OF_ONE_ADDRESS)),
        ("connections with a request in work", (connections.MOST_BUSY_OF_ONE_ADDRESS,)),
        ("unfinished responses", (connections.MAX_UNFINISHED,)),
        ("bytes of a response", (listener.SLICE_BYTES / 1024,)),
        ("all connections", (connections.MOST_CONNECTIONS,)),
        ("passwords being checked", (access_control.MOST_WAITING_OF_ONE_ADDRESS, access_control.MOST_WAITING)),
        ("a refusal", (access_control.REFUSED_AFTER_SECONDS * 1000,)),
    ],
)
def test_limits_on_the_page_match_the_code(row, numbers):
    (line,) = [line for line in TEXT.splitlines() if line.startswith(f"| {row}")]
    documented = [int(number) for number in re.findall(r"\b[0-9]+\b", line.split("|")[2])]
    assert documented == [int(number) for number in numbers]
