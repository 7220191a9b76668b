"""Prometheus' HTTP service discovery: the targets of this exporter, and the shards of its host.

Each target is one group over `/probe`. Its labels become the parameters of `/probe` and input for relabelling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

from exporter.config.settings import Config, Target
from exporter.core.durations import write


class TargetGroup(TypedDict):
    targets: list[str]
    labels: dict[str, str]


def groups(config: Config, *, address: str, timeout_offset: float) -> Iterator[TargetGroup]:
    """Return one group per target.

    `address` is this exporter's host:port, as Prometheus reaches it.
    """
    return (TargetGroup(targets=[address], labels=_labels(config, target, timeout_offset)) for target in config.targets.values())


def shard_group(address: str, offsets: range) -> TargetGroup:
    """Return the shards of one host. `offsets` are their ports, relative to the port in `address`."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():  # the port of the scheme, so a proxy stands before the exporter
        return TargetGroup(targets=[address], labels={})
    return TargetGroup(targets=[f"{host}:{int(port) + offset}" for offset in offsets], labels={})


def _labels(config: Config, target: Target, timeout_offset: float) -> dict[str, str]:
    settings, module = config.settings, config.modules[target.module]
    labels = {
        "__param_target": target.name,
        "__param_module": target.module,
        "__scrape_interval__": write(target.interval),
        # Prometheus refuses a timeout above the interval. /probe subtracts the offset again.
        "__scrape_timeout__": write(min(target.interval, target.timeout + timeout_offset)),
        "__meta_ekm_target": target.name,
        "__meta_ekm_vault": target.vault,
        "__meta_ekm_key": target.key,
        "__meta_ekm_credential": target.credential,
        "__meta_ekm_module": target.module,
        "__meta_ekm_mode": module.mode.value,
        "__meta_ekm_generation": target.generation.value,
        "__meta_ekm_vantage": settings.vantage.value,
    }
    labels |= {f"__meta_ekm_label_{name}": value for name, value in target.labels.items()}
    servers = list(dict.fromkeys(each["sql_instance"] for each in target.instances if "sql_instance" in each))
    if servers:
        # A comma at both ends, as in Prometheus' own discoveries: a rule can match `.*,SQLPRD01,.*`.
        labels["__meta_ekm_sql_instances"] = f",{','.join(servers)},"
    return labels
