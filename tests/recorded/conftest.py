"""Recorded answers of real vaults: the test sessions that the published source of azure-keyvault-keys 4.0.0 carries.

Fetched by `./dev recordings`, never committed. They show the vault of October 2019 (api-version 7.0); no 429, firewall 403
or RBAC 403 is among them.
"""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / ".cache" / "recordings" / "azure-keyvault-keys-4.0.0.zip"
PIN = Path(__file__).with_name("source.lock")


@dataclass(frozen=True)
class Exchange:
    """One request and what the vault answered. Header names in lower case."""

    session: str
    method: str
    host: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """What was asked of a key: `get`, `update`, or the last word of the path (`create`, `wrapkey`, ...); `other` elsewhere."""
        place = re.fullmatch(r"/keys/[^/]+(?:/[0-9a-f]{32})?/?([a-z]+)?", self.path.lower())
        if place is None:
            return "other"
        return place[1] or {"GET": "get", "PATCH": "update"}.get(self.method, "other")


class Loader(yaml.SafeLoader):
    """Plain data only: the recordings also hold Python objects of their recorder, which are read as nothing."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _loader, _suffix, _node: None)


def read_session(name: str, text: bytes) -> list[Exchange]:
    exchanges = []
    for interaction in yaml.load(text, Loader=Loader)["interactions"]:  # noqa: S506 - a SafeLoader, see above
        request, response = interaction["request"], interaction["response"]
        address = urlsplit(request["uri"])
        exchanges.append(
            Exchange(
                session=name,
                method=request["method"],
                host=address.hostname or "",
                path=address.path,
                status=response["status"]["code"],
                headers={
                    key.lower(): value if isinstance(value, str) else value[0] for key, value in response["headers"].items()
                },
                body=response["body"]["string"].encode(),
            ),
        )
    return exchanges


@pytest.fixture(scope="session")
def sessions() -> dict[str, list[Exchange]]:
    if not ARCHIVE.exists():
        pytest.fail("the recorded responses of Azure are missing: run ./dev recordings", pytrace=False)
    expected = re.search(r"sha256:([0-9a-f]{64})", PIN.read_text())
    assert expected is not None
    assert hashlib.sha256(ARCHIVE.read_bytes()).hexdigest() == expected[1], "not the pinned archive: rm -r .cache/recordings"
    with zipfile.ZipFile(ARCHIVE) as archive:
        names = [name for name in archive.namelist() if re.search(r"/tests/recordings/.+\.yaml$", name)]
        return {Path(name).stem: read_session(Path(name).stem, archive.read(name)) for name in names}


@pytest.fixture(scope="session")
def exchanges(sessions) -> Sequence[Exchange]:
    return [exchange for session in sessions.values() for exchange in session]
