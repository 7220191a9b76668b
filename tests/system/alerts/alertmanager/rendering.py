"""alerts/alertmanager.yml as a test starts it: faster by one factor, with the stand-ins of this host in place of the world."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ALERTS = Path(__file__).parents[4] / "alerts"
EXAMPLE = ALERTS / "alertmanager.yml"
SECRETS = "/etc/alertmanager/secrets/"

WAITS = ("group_wait", "group_interval", "repeat_interval", "resolve_timeout")
_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class World:
    """Where the stand-ins listen: PagerDuty and the webhooks at `http` (a URL), the mail server at `smtp` (host:port)."""

    http: str
    smtp: str


def milliseconds(duration: str) -> int:
    """Of a duration as Prometheus writes it, such as `1h30m`."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd])", duration))


def rendered(config: dict[str, Any], place: Path, world: World, *, divisor: int) -> dict[str, Any]:
    """The configuration with every wait divided by `divisor`, no hours of rest, and its secrets in `place`.

    A file of a URL gets `http`/NAME, any other `value-of-NAME`, NAME being that of the file: what arrives tells which it was.
    """
    faster = _changed(config, place, world, divisor)
    templates = [str(ALERTS / name) for name in config["templates"]]
    there = {"pagerduty_url": f"{world.http}/pagerduty", "smtp_smarthost": world.smtp, "smtp_require_tls": False}
    return faster | {"templates": templates, "global": faster["global"] | there}


def written(place: Path, world: World, *, divisor: int) -> Path:
    """The rendered example as a file in `place`, beside its secrets."""
    path = place / "alertmanager.yml"
    path.write_text(yaml.safe_dump(rendered(yaml.safe_load(EXAMPLE.read_text()), place, world, divisor=divisor)))
    return path


def _changed(node: Any, place: Path, world: World, divisor: int) -> Any:
    if isinstance(node, list):
        return [_changed(each, place, world, divisor) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _setting(key, value, place, world, divisor)
        for key, value in node.items()
        if key not in ("active_time_intervals", "mute_time_intervals")  # a test's outcome must not depend on the hour
    }


def _setting(key: str, value: Any, place: Path, world: World, divisor: int) -> Any:
    if key in WAITS:
        return f"{max(1, milliseconds(value) // divisor)}ms"
    if isinstance(value, str) and value.startswith(SECRETS):
        name = value.removeprefix(SECRETS)
        secret = place / name
        secret.write_text(f"{world.http}/{name}\n" if key.endswith("url_file") else f"value-of-{name}\n")
        return str(secret)
    return _changed(value, place, world, divisor)
