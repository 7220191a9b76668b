"""From a file's name to a checked configuration, or to everything that is wrong with it.

For: the one way in. Blocks: files, secrets and certificates are read.
Not for: rules; each stands in the module that its package's docstring names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from exporter.config.build import build_config
from exporter.config.includes import read_with_includes
from exporter.config.model import Config
from exporter.config.problems import Problem, ProblemList
from exporter.config.warnings import advise


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`config` is None exactly when there are problems. `files`: every file that was read or missed; `patterns`: those by which
    more were looked for. Both for seeing a change.
    """

    config: Config | None
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    files: tuple[Path, ...]
    patterns: tuple[str, ...] = ()


def load_config(path: Path, *, today: date | None = None) -> Loaded:
    """Read, check and merge the configuration. Never raises for what stands in a file."""
    problems = ProblemList()
    gathered = read_with_includes(Path(path), problems)
    config, declared = build_config(gathered, problems)
    if config is not None and declared is not None:
        advise(config, declared, today or datetime.now(UTC).date())
    return Loaded(
        config=config,
        problems=problems.errors,
        warnings=problems.warnings,
        files=tuple(gathered.files),
        patterns=tuple(gathered.patterns),
    )
