"""A DBA who follows docs/windows.md on a computer of Wine: types each command of the page, and replaces what a reader must replace."""

import contextlib
import hashlib
import re
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from tests.support.transcripts import Transcript, blocks, section, transcript
from tests.system.windows.host import Host

PAGE = (Path(__file__).parents[3] / "docs" / "windows.md").read_text(encoding="utf-8")


def step(number: int) -> Transcript:
    return transcript(section(PAGE, f"{number} "), "> ")


def block(beginning: str, language: str) -> str:
    """Return the one block of a language below a heading."""
    (found,) = blocks(section(PAGE, beginning), language)
    return found


@dataclass
class Reader:
    """`downloads` has the MSI. `port` replaces 10377. `answers` are the secrets that are typed, one after another.

    `documents` has the text of each file that is edited.
    """

    host: Host
    downloads: Path
    port: int
    documents: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = self.downloads

    @contextlib.contextmanager
    def console(self) -> Iterator[None]:
        """Leave a console open: the services of Wine end with the last program of a user."""
        python = self.host.prefix / "drive_c" / "Program Files" / "ekm-exporter" / "app" / "python" / "python.exe"
        with self.host.start(python, "-c", "import time; time.sleep(3600)"):
            yield

    def types(self, command: str, code: int = 0) -> str:
        """Return what the command prints. Another exit code fails the test."""
        command = command.replace("10377", str(self.port))
        name, _, rest = command.partition(" ")
        by_hand = {"cd": self._cd, "certutil": self._certutil, "notepad": self._notepad, "start": self._start}
        output = by_hand[name](rest) if name in by_hand else self._run(command, code)
        self.outputs.append(output)
        output = output.replace(f"http://{socket.gethostname()}:{self.port}/", "http://sqlhost1:10377/")
        return output.replace(f"http://localhost:{self.port}/", "http://localhost:10377/")

    def _run(self, command: str, code: int) -> str:
        if command.startswith("msiexec /i "):
            command += f" LISTEN=:{self.port}"  # another process of the tests may have 10377
        typed = self.answers.pop(0) if " service secret " in command else ""
        done = self.host.call("cmd", "/c", command, input=f"{typed}\n", cwd=self.place)
        assert done.code == code, f"{command}: {done.code}\n{done.text}"
        return done.text

    def _cd(self, folder: str) -> str:
        drive, *parts = PureWindowsPath(folder.strip('"')).parts
        assert drive == "C:\\"
        self.place = Path(self.host.prefix, "drive_c", *parts)
        return ""

    def _certutil(self, arguments: str) -> str:
        """Wine's program prints nothing."""
        name = arguments.split()[1]
        return hashlib.sha256((self.place / name).read_bytes()).hexdigest()

    def _notepad(self, name: str) -> str:
        (self.place / name).write_text(self.documents[name], encoding="utf-8")
        return self.documents[name]

    def _start(self, url: str) -> str:
        """Return the text of a page, as a browser shows it."""
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - on loopback
            text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", answer.read().decode(), flags=re.DOTALL)
        return " ".join(text.split())
