"""Load a configuration file: the checked configuration, or all problems.

Blocks: reads files, secrets and certificates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from exporter.config.loader.build import build_config
from exporter.config.loader.includes import read_with_includes
from exporter.config.loader.warnings import advise
from exporter.config.settings import Config
from exporter.config.yaml import Problem, ProblemList


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A result of `load_config`. `config` is None if and only if there are problems.

    `files` (read or missing) and `patterns` (of includes) are what to watch for changes.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    patterns: tuple[str, ...] = ()


def load_config(path: Path, *, today: date | None = None) -> Loaded:
    """Read, check and merge the configuration. No content of a file makes it raise."""
    problems = ProblemList()
    loaded = read_with_includes(Path(path), problems)
    config, declared = build_config(loaded, problems)
    if config is not None and declared is not None:
        advise(config, declared, today or datetime.now(UTC).date())
    return Loaded(
        config=config,
        problems=problems.errors,
        warnings=problems.warnings,
        files=tuple(loaded.files),
        patterns=tuple(loaded.patterns),
    )
