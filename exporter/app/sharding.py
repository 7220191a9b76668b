"""Choose the exporter of a target or SQL Server by its name (`--shard I/N`).

Rendezvous hashing: one more exporter takes about 1/N of the targets from the others, evenly, and moves nothing between them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256

from exporter.config.settings import Config

MOST_SHARDS = 1000  # every name is hashed once per shard


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, counted from 0."""

    index: int
    count: int

    def holds(self, name: str) -> bool:
        """Return whether this shard has the target, or the SQL Server of this address.

        Exactly one of `count` shards has it.
        """
        return _owner(name, self.count) == self.index

    @property
    def offsets(self) -> range:
        """The ports of all shards of one host, relative to the port of this shard."""
        return range(-self.index, self.count - self.index)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Parse `I/N` with 0 <= I < N. Raises ValueError with a text for the user."""
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    if match is None:
        raise ValueError(f"{text!r} is not of the form I/N, for example 0/3")
    index, count = int(match[1]), int(match[2])
    if not 0 < count <= MOST_SHARDS:
        raise ValueError(f"the number of shards in {text!r} must be between 1 and {MOST_SHARDS}")
    if index >= count:
        raise ValueError(f"shards are counted from 0: {text!r} needs an index from 0 to {count - 1}")
    return Shard(index, count)


def select_shard(config: Config, shard: Shard | None) -> Config:
    """Return the configuration with the targets and SQL Servers of this shard."""
    if shard is None:
        return config
    return replace(
        config,
        targets={name: target for name, target in config.targets.items() if shard.holds(name)},
        sql_servers={address: server for address, server in config.sql_servers.items() if shard.holds(address)},
    )


def _owner(name: str, count: int) -> int:
    prefix = sha256(name.encode()).digest()
    return max(range(count), key=lambda index: sha256(prefix + index.to_bytes(2)).digest())
