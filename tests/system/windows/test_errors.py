"""Errors of sockets on Windows get the reason and the code that they have on Linux."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from exporter.cli.main import main
from tests.support.broken_credentials import closed_port, silent_port
from tests.support.patience import PATIENCE
from tests.support.written import write_private
from tests.system.windows.both import both
from tests.system.windows.test_run import exporting

__all__ = ["both"]
CREDENTIAL = (
    "{type: client_secret, tenant_id: contoso.invalid, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: s}"
)
TARGET = "{{name: {0}, vault: {0}-vault, key: K/00000000000000000000000000000000, credential: c, module: {0}, timeout: {1}}}"
WAITS = "silent"


def reset(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer_in_clear_text(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    connection.recv(65536)


@contextlib.contextmanager
def server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Yield the port of a server that behaves so at each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):  # closed
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        behave(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(PATIENCE)


class Failure(NamedTuple):
    step: str
    code: int
    reason: str


FAILURES = {
    "refused": Failure("challenge", 3008, "connect_refused"),
    "unknown": Failure("challenge", 3900, "dns_not_found"),
    "malformed": Failure("challenge", 3900, "dns_not_found"),
    "unreachable": Failure("challenge", 3005, "network_down"),
    "reset": Failure("challenge", 3008, "tls_reset"),
    "clear": Failure("challenge", 3008, "tls_not_tls"),
    "silent": Failure("challenge", 3008, "tls_timeout"),
}


def first_failure(steps: list[dict[str, object]]) -> Failure:
    return next(Failure(*(step[name] for name in Failure._fields)) for step in steps if step["reason"])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, str]]:
    """Where each target leads."""
    with server(reset) as resetting, server(answer_in_clear_text) as clear, silent_port() as silent:
        ports = {"refused": closed_port(), "reset": resetting, "clear": clear, "silent": silent}
        yield {name: f"127.0.0.1:{port}" for name, port in ports.items()} | {
            "unknown": "no-such-vault.invalid:443",
            "malformed": f"{'a' * 64}.invalid:443",  # longer than a label of DNS
            "unreachable": "255.255.255.255:443",
        }


@pytest.fixture(scope="module")
def folder(tmp_path_factory, places):
    folder = tmp_path_factory.mktemp("errors")
    write_private(folder / "s", "marked-secret-of-the-test")
    modules = "".join(
        f'  {name}: {{connect_to: {{"{name}-vault.vault.azure.net:443": "{to}"}}}}\n' for name, to in places.items()
    )
    targets = "".join(f"  - {TARGET.format(name, '2s' if name == WAITS else '30s')}\n" for name in places)
    (folder / "ekm.yml").write_text(f"credentials:\n  c: {CREDENTIAL}\nmodules:\n{modules}targets:\n{targets}")
    return folder


@pytest.fixture(scope="module")
def on_windows(host, folder):
    """The first failure of each target, as an exporter on Windows reports it."""
    with exporting(host, folder / "ekm.yml") as exporter:
        targets = {name: json.loads(exporter.get(f"/api/v1/targets/{name}")) for name in FAILURES}
        return {name: first_failure(target["history"][0]["steps"]) for name, target in targets.items()}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_has_the_code_and_reason_of_linux(on_windows, folder, name, capsys):
    assert main(["probe", name, "--config.file", str(folder / "ekm.yml"), "--json"]) == 1
    assert first_failure(json.loads(capsys.readouterr().out)["steps"]) == FAILURES[name]
    assert on_windows[name] == FAILURES[name]
