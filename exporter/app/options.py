"""How an exporter runs: what the command line decides, and no configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.app.sharding import Shard
from exporter.metrics.spec import Level
from exporter.web.options import WebOptions
from exporter.web.server.listener import ListenAddress

DEMO = "demo"  # the mode of a command that ends with its terminal
DEFAULT_HISTORY = 100
OnListening = Callable[[Sequence[str]], None]  # receives the URLs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    listen: tuple[ListenAddress, ...]
    web: WebOptions
    history_limit: int = DEFAULT_HISTORY
    metrics_level: Level = Level.FULL
    state_dir: Path | None = None
    shard: Shard | None = None
    scheduler: bool = True
    config_file: Path | None = None  # to reload from; None: no reload
    auto_reload: bool = False
    mode: str = "run"
    files: int | None = None  # that probes and readings may open; None: no limit
    on_listening: OnListening | None = None  # once clients are answered
