"""A checked configuration: frozen values, resolved references, defaults.

A `Config` exists only for files without a problem. Secrets are not in it: a `SecretSource` is the place of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from exporter.config.settings.credential import Credential
from exporter.config.settings.maintenance import WINDOW, MaintenanceWindow
from exporter.config.settings.metadata import setting
from exporter.config.settings.module import Module
from exporter.config.settings.sql_server import SqlServer
from exporter.config.settings.target import Target
from exporter.config.yaml import types
from exporter.core.model import Generation, Vantage


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The section `global`. Durations are in seconds."""

    interval: float = setting(
        types.INTERVAL,
        "Time between two probes of a target. It varies by a tenth.",
        60.0,
        shown="60s",
    )
    timeout: float = setting(
        types.TIMEOUT,
        "Time for one whole probe. Must not exceed half of the target's interval.",
        10.0,
        shown="min(10s, interval / 2)",
    )
    min_interval: float = setting(
        types.duration(0, types.DAY),
        "Least time between two probes of a target on `/probe`. Earlier requests get the cached result. Earlier requests with "
        "another module than the target's own wait instead.",
        5.0,
    )
    # 0: never.
    preflight_interval: float = setting(
        types.duration(0, 7 * types.DAY),
        "Time between two runs of a target's preflight checks, whose results are metrics. `0s` disables them.",
        21600.0,
    )
    sql_interval: float = setting(
        types.duration(60, types.DAY),
        "Time between two readings of a SQL Server under `sql_servers`.",
        300.0,
    )
    concurrency: int = setting(
        types.whole(1, 100_000),
        "Probes that may run at the same time; fewer if the system grants few open files.",
        64,
        shown="enough if all targets time out at once, at least 64",
    )
    generation: Generation = setting(
        types.choice(Generation),
        "`classic` if SQL Server shows codes 30xx (connector 1.0.4.0 and older), `current` if it shows 31xx (1.0.5.0).",
        Generation.CLASSIC,
        name="connector_generation",
    )
    vantage: Vantage = setting(
        types.choice(Vantage),
        "Location of this exporter: `sql_host` on a SQL Server's host, `central` elsewhere. Every verdict names it.",
        Vantage.CENTRAL,
    )
    maintenance: tuple[MaintenanceWindow, ...] = setting(
        types.list_of(WINDOW),
        "Windows of planned work for all targets. Failures inside a window raise no alert and do not count for the service level.",
        (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A whole configuration; mappings are by name."""

    settings: Settings
    credentials: Mapping[str, Credential]
    modules: Mapping[str, Module]
    targets: Mapping[str, Target]
    sql_servers: Mapping[str, SqlServer] = field(default_factory=dict)  # by address
    files: tuple[Path, ...] = ()  # every file it was read from, for reloading
