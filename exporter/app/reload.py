"""Reloads the configuration on request and after a change of its files, and selects the part of a shard (`--shard I/N`).

Files are read on a thread, one reload at a time. A change is detected by content: a Kubernetes volume swaps a symbolic link, and an
editor may write twice within a tick of the clock.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, Protocol

from exporter.config.load import Loaded, load_config
from exporter.config.settings import Config
from exporter.runtime.files import FileUnreadableError, read_whole
from exporter.runtime.logging import fields, place_of
from exporter.runtime.process import ExtraMissingError
from exporter.runtime.tasks import DaemonThreadPool, SingleFlight

# Rendezvous hashing: one more exporter takes about 1/N of the targets from the others, evenly, and moves nothing between them.
MOST_SHARDS = 1000  # every name is hashed once per shard


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, counted from 0."""

    index: int
    count: int

    def holds(self, name: str) -> bool:
        """Return whether this shard has the target, or the SQL Server of this address. Exactly one of `count` shards has it."""
        prefix = hashlib.sha256(name.encode()).digest()
        return self.index == max(range(self.count), key=lambda index: hashlib.sha256(prefix + index.to_bytes(2)).digest())

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


CHECK_SECONDS = 5.0
TRY_AGAIN_SECONDS = 30.0  # the cause of a refusal may be in another file, such as a secret that is created later
_READINGS = 2  # the second one if the first has found more files
_LIMIT = 64 * 1024 * 1024  # bytes of one file; far above the limit of a configuration

_log = logging.getLogger(__name__)


Apply = Callable[
    [Config], Awaitable[None]
]  # raises ValueError or ExtraMissingError with a text for the operator if the old one stays


class OnReload(Protocol):
    def __call__(self, *, successful: bool, at: float) -> None:
        """Record one attempt; `at` is a Unix time."""


class Reloader:
    """Reloads a configuration file; `running` was read from it. Use it from one event loop."""

    def __init__(self, path: Path, apply: Apply, *, running: Config | None, on_reload: OnReload) -> None:
        self._path, self._apply, self._on_reload = path, apply, on_reload
        self._running = running  # until the first reload
        self._pool = DaemonThreadPool(1, name="ekm-reload")
        self._files: tuple[Path, ...] = (path,)
        self._patterns: tuple[str, ...] = ()
        self._one_at_a_time = asyncio.Lock()
        self._last_content: str | None = None  # digest of the files at the last read
        self._last_problems: list[str] = []  # of the last reload
        self._try_again_at = 0.0  # by the monotonic clock
        self._begun = 0  # how many reloads have begun: the key of the one that has not
        self._tasks: SingleFlight[int | str, list[str]] = SingleFlight()

    async def reload(self) -> list[str]:
        """Reload and return the problems, one line each; none after a success.

        All calls while a reload waits for its turn share that reload.
        """
        return await self._tasks.join(self._begun, self._reload, name="reload")

    def reload_soon(self) -> None:
        """Start a reload without waiting, for a signal; the log shows the result."""
        if not self._tasks.running(self._begun):
            self._tasks.start(self._begun, self._reload(), name="reload")

    async def _reload(self) -> list[str]:
        async with self._one_at_a_time:
            self._begun += 1
            try:
                return await self._read_and_apply()
            except Exception as error:  # noqa: BLE001 - after a signal no caller would receive it
                self._on_reload(successful=False, at=time.time())
                _log.error("configuration not reloaded", extra=fields(**place_of(error)))
                self._last_problems = [f"internal error: {type(error).__name__} (see the log)"]
                return self._last_problems

    async def _read_and_apply(self) -> list[str]:
        loaded, self._last_content = await self._pool.run(self._load)
        self._running = None
        problems = self._last_problems = [*map(str, loaded.problems)]
        if loaded.config is not None:
            try:
                await self._apply(loaded.config)
            except (ValueError, ExtraMissingError) as error:
                problems = [f"{self._path}: {error}"]
        self._on_reload(successful=not problems, at=time.time())
        for problem in problems:
            _log.error("configuration not reloaded", extra=fields(problem=problem))
        for warning in () if problems else loaded.warnings:
            _log.warning("configuration", extra=fields(where=warning.where, warning=warning.what))
        return problems

    def watch(self) -> None:
        """Reload after each change of the files, also after one since the running configuration was read."""
        self._tasks.start("watch", self._watch(), name="reload")

    async def aclose(self) -> None:
        await self._tasks.aclose()
        self._pool.close()

    async def _watch(self) -> NoReturn:
        while True:
            try:
                if self._last_content is None:
                    loaded, self._last_content = await self._pool.run(self._load)
                    if loaded.config != self._running:
                        await self.reload()
                elif await self._is_due():
                    await self.reload()
            except Exception as error:  # noqa: BLE001 - the configuration stays, and the watch continues
                _log.error("cannot read configuration", extra=fields(**place_of(error)))
            await asyncio.sleep(CHECK_SECONDS)

    async def _is_due(self) -> bool:
        if await self._pool.run(self._content) != self._last_content:
            return True
        if not self._last_problems or time.monotonic() < self._try_again_at:
            return False
        self._try_again_at = time.monotonic() + TRY_AGAIN_SECONDS
        loaded, _ = await self._pool.run(self._load)
        return [*map(str, loaded.problems)] != self._last_problems

    def _load(self) -> tuple[Loaded, str]:
        """Load the files. Blocks. The digest is taken first, so a change during the read is detected later."""
        for _ in range(_READINGS):
            before = self._content()
            loaded = load_config(self._path)
            modules = () if loaded.config is None else loaded.config.modules.values()
            files = (self._path, *loaded.files, *(module.ca_file for module in modules if module.ca_file is not None))
            known, self._files, self._patterns = (self._files, self._patterns), files, loaded.patterns
            if known == (files, loaded.patterns):
                break
        return loaded, before if before == self._content() else ""

    def _content(self) -> str:
        """Return a digest of all files, including those that a pattern matches. Blocks."""
        digest = hashlib.sha256()
        for name in sorted({str(path) for path in self._files}.union(*map(glob.glob, self._patterns))):
            digest.update(name.encode(errors="surrogateescape") + b"\0" + _bytes_of(Path(name)) + b"\0")
        return digest.hexdigest()


def _bytes_of(path: Path) -> bytes:
    try:
        return hashlib.sha256(read_whole(path, limit=_LIMIT)).digest()
    except FileUnreadableError as error:
        return str(error).encode()
