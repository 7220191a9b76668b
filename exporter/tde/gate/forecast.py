"""The unwraps that a restart makes, against the request limit of each vault.

SQL Server unwraps the encryption key of each database once when the database opens. All databases of instances that restart
together are assumed to open within one window of the limit. Retries, other clients of the vault and the exporter's probes are
not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from exporter.core.vault_limits import key_operations_limit
from exporter.tde.exporter_state import GateReason, TargetState
from exporter.tde.gate.conditions import Condition, reason
from exporter.tde.gate.model import Dependency, VaultForecast

UNWRAPS_PER_DATABASE = 1
_HARDWARE = {"RSA": False, "RSA-HSM": True}  # by kty: SQL Server takes no other kind


def forecast_of(dependencies: Sequence[Dependency]) -> tuple[list[VaultForecast], list[GateReason]]:
    """Return the forecast of each vault, and a reason for each key without a limit."""
    unwraps: dict[str, dict[str, int]] = {}
    shares: dict[str, dict[str, float]] = {}
    unknown: dict[str, GateReason] = {}
    for one in dependencies:
        if not one.targets or not one.usage.databases:
            continue
        vault, target = one.usage.version.vault, one.targets[0]
        limit = _limit(vault, target)
        if limit is None:
            unknown[target.name] = reason(Condition.KEY_SIZE_UNKNOWN, target=target.name, vault=vault)
            continue
        count = len(one.usage.databases) * UNWRAPS_PER_DATABASE
        of_vault, of_shares = unwraps.setdefault(vault, {}), shares.setdefault(vault, {})
        of_vault[one.server] = of_vault.get(one.server, 0) + count
        of_shares[one.server] = of_shares.get(one.server, 0.0) + count / limit
    return [VaultForecast(vault, unwraps[vault], shares[vault]) for vault in sorted(unwraps)], list(unknown.values())


def throttled(forecast: Iterable[VaultForecast]) -> Iterable[GateReason]:
    """Yield a reason for each vault whose limit the restart exceeds."""
    for one in forecast:
        largest = max(one.shares, key=lambda server: (one.shares[server], server))
        alone = [server for server in sorted(one.shares) if one.shares[server] > 1]
        for server in alone:
            yield reason(
                Condition.INSTANCE_THROTTLES,
                vault=one.vault,
                server=server,
                unwraps=str(one.unwraps[server]),
                share=percent(one.shares[server]),
            )
        if one.share > 1 and not alone:
            yield reason(
                Condition.RESTART_THROTTLES,
                vault=one.vault,
                unwraps=str(one.total),
                share=percent(one.share),
                largest=f"{percent(one.shares[largest])} ({largest})",
            )


def percent(share: float) -> str:
    """Return a share in percent, with two decimals below 1 %."""
    return f"{share:.2%}" if share < 0.01 else f"{share:.1%}"


def _limit(vault: str, target: TargetState) -> float | None:
    hardware = _HARDWARE.get((target.key_type or "").upper())
    if hardware is None or target.key_size_bits is None:
        return None
    try:
        return key_operations_limit(vault, hardware=hardware, size_bits=target.key_size_bits)
    except KeyError:
        return None
