"""alerts/alertmanager.yml for a test: faster by one factor, with stand-ins on this host as receivers."""

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
class Endpoints:
    """Where the stand-ins listen: PagerDuty and webhooks at `http` (a URL), the mail server at `smtp` (host:port)."""

    http: str
    smtp: str


def milliseconds(duration: str) -> int:
    """Return the milliseconds of a Prometheus duration such as `1h30m`."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd])", duration))


def rendered(config: dict[str, Any], place: Path, endpoints: Endpoints, *, divisor: int) -> dict[str, Any]:
    """Return the configuration with every wait divided by `divisor`, no time intervals, and its secrets in `place`.

    The file NAME of a URL holds `http`/NAME, any other file `value-of-NAME`, so that each message shows its receiver.
    """
    faster = _changed(config, place, endpoints, divisor)
    templates = [str(ALERTS / name) for name in config["templates"]]
    there = {"pagerduty_url": f"{endpoints.http}/pagerduty", "smtp_smarthost": endpoints.smtp, "smtp_require_tls": False}
    return faster | {"templates": templates, "global": faster["global"] | there}


def write_config(place: Path, endpoints: Endpoints, *, divisor: int) -> Path:
    """Write the rendered example and its secrets to `place`, and return its path."""
    path = place / "alertmanager.yml"
    path.write_text(yaml.safe_dump(rendered(yaml.safe_load(EXAMPLE.read_text()), place, endpoints, divisor=divisor)))
    return path


def _changed(node: Any, place: Path, endpoints: Endpoints, divisor: int) -> Any:
    if isinstance(node, list):
        return [_changed(each, place, endpoints, divisor) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _setting(key, value, place, endpoints, divisor)
        for key, value in node.items()
        if key not in ("active_time_intervals", "mute_time_intervals")  # a test's outcome must not depend on the hour
    }


def _setting(key: str, value: Any, place: Path, endpoints: Endpoints, divisor: int) -> Any:
    if key in WAITS:
        return f"{max(1, milliseconds(value) // divisor)}ms"
    if isinstance(value, str) and value.startswith(SECRETS):
        name = value.removeprefix(SECRETS)
        secret = place / name
        secret.write_text(f"{endpoints.http}/{name}\n" if key.endswith("url_file") else f"value-of-{name}\n")
        return str(secret)
    return _changed(value, place, endpoints, divisor)
