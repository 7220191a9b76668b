"""Reading the configuration again while the exporter runs: when told to, and when its files have changed.

For: loading off the event loop, one reload at a time, saying every problem, noticing a change by content (a Kubernetes volume
swaps a symbolic link, an editor may write twice within a tick of the clock).
Not for: what a new configuration does to the running parts (see `service`), which targets it changes (see `config.diff`), rules of configurations (see `config`).
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
import logging
import time
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from exporter.config import Loaded, load_config
from exporter.config.files import FileUnreadableError, read_whole
from exporter.config.model import Config
from exporter.runtime.logging import fields, place_of
from exporter.runtime.thread_pool import DaemonThreadPool

LOOK_AGAIN_SECONDS = 5.0
TRY_AGAIN_SECONDS = 30.0  # what a configuration was refused for may be a file beside it, such as a secret that comes later
_READINGS = 2  # of the files; a second one where the first says which files belong to it
_LIMIT = 64 * 1024 * 1024  # bytes of one file; far above what a configuration may have

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Apply(Protocol):
    async def __call__(self, config: Config) -> None:
        """Puts a configuration in force. Raises ValueError, with a text for people, where that cannot be done: then the old one stays."""
        ...


class Heard(Protocol):
    def __call__(self, *, successful: bool, at: float) -> None:
        """Of each attempt; `at` is a Unix time."""
        ...


class Reloader:
    """To be used from one event loop."""

    def __init__(self, path: Path, apply: Apply, *, reloaded: Heard) -> None:
        self._path, self._apply, self._reloaded = path, apply, reloaded
        self._pool = DaemonThreadPool(1, name="ekm-reload")
        self._files: tuple[Path, ...] = (path,)
        self._patterns: tuple[str, ...] = ()
        self._one_at_a_time = asyncio.Lock()
        self._seen: str | None = None  # what the files held when they were last read, well or badly
        self._refused_for: list[str] = []  # what the files were found to have wrong, when they were last read for good
        self._try_again_at = 0.0  # by the monotonic clock
        self._waiting: asyncio.Task[list[str]] | None = None  # a reload that has not begun
        self._tasks: set[asyncio.Task[Any]] = set()

    async def reload(self) -> list[str]:
        """Every problem for which the configuration was not taken over, one line each; none if it was.

        Whoever asks while a reload waits for its turn gets the answer of that one, however many they are.
        """
        return await asyncio.shield(self._next())

    def reload_soon(self) -> None:
        """For a signal: nobody waits for the answer, the log has it."""
        self._next()

    def _next(self) -> asyncio.Task[list[str]]:
        """The reload that has not begun yet: what is in the files now, it will see."""
        if self._waiting is None:
            self._waiting = self._start(self._reload())
        return self._waiting

    async def _reload(self) -> list[str]:
        async with self._one_at_a_time:
            self._waiting = None
            try:
                return await self._read_and_apply()
            except Exception as error:  # noqa: BLE001 - after a signal no request waits for it
                self._reloaded(successful=False, at=time.time())
                _log.error("configuration not reloaded", extra=fields(**place_of(error)))
                self._refused_for = [f"internal error: {type(error).__name__} (the log has a line about it)"]
                return self._refused_for

    async def _read_and_apply(self) -> list[str]:
        loaded, self._seen = await self._pool.run(self._load)
        problems = self._refused_for = _texts(loaded)
        if loaded.config is not None:
            problems = await self._put_in_force(loaded.config)
        self._reloaded(successful=not problems, at=time.time())
        self._tell(loaded, problems)
        return problems

    def watch(self) -> None:
        """From now on a change of the files is a reason to reload."""
        self._start(self._follow())

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.close()

    def _start(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name="reload")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _follow(self) -> None:
        while True:
            try:
                if self._seen is None:
                    _, self._seen = await self._pool.run(self._load)
                elif await self._is_due():
                    await self.reload()
            except Exception as error:  # noqa: BLE001 - the configuration stays as it is, and the watch goes on
                _log.error("cannot read configuration", extra=fields(**place_of(error)))
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _is_due(self) -> bool:
        if await self._pool.run(self._content) != self._seen:
            return True
        if not self._refused_for or time.monotonic() < self._try_again_at:
            return False
        self._try_again_at = time.monotonic() + TRY_AGAIN_SECONDS
        loaded, _ = await self._pool.run(self._load)
        return _texts(loaded) != self._refused_for

    async def _put_in_force(self, config: Config) -> list[str]:
        try:
            await self._apply(config)
        except ValueError as error:
            return [f"{self._path}: {error}"]
        return []

    def _load(self) -> tuple[Loaded, str]:
        """Blocks. The content is taken first: what changes while it is read is seen as a change the next time."""
        for _ in range(_READINGS):
            before = self._content()
            loaded = load_config(self._path)
            known, (self._files, self._patterns) = (self._files, self._patterns), _watched(loaded, self._path)
            if known == (self._files, self._patterns):
                break
        return loaded, before if before == self._content() else ""

    def _content(self) -> str:
        """Blocks. Differs when a file does, or when a pattern finds another set of them."""
        digest = hashlib.sha256()
        for name in sorted({str(path) for path in self._files}.union(*map(glob.glob, self._patterns))):
            digest.update(name.encode(errors="surrogateescape") + b"\0" + _bytes_of(Path(name)) + b"\0")
        return digest.hexdigest()

    def _tell(self, loaded: Loaded, problems: list[str]) -> None:
        for problem in problems:
            _log.error("configuration not reloaded", extra=fields(problem=problem))
        if not problems:
            for warning in loaded.warnings:
                _log.warning("configuration", extra=fields(where=warning.where, warning=warning.what))


def _texts(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def _watched(loaded: Loaded, path: Path) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """What a configuration is read from: its files, those it looks for, and the authorities it trusts."""
    authorities: Iterable[Path | None] = () if loaded.config is None else (one.ca_file for one in loaded.config.modules.values())
    return (path, *loaded.files, *(file for file in authorities if file is not None)), loaded.patterns


def _bytes_of(path: Path) -> bytes:
    try:
        return hashlib.sha256(read_whole(path, limit=_LIMIT)).digest()
    except FileUnreadableError as error:
        return str(error).encode()
