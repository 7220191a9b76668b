"""Samples of what is declared, of error codes, of expiry lookups and of preflight checks.

Pure functions, like those of `samples`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from exporter.config.settings import Config, Credential, Module, Target
from exporter.core.checks import CheckOutcome, CheckResult
from exporter.core.codes import ConnectorError
from exporter.core.codes.actions import first_action
from exporter.core.credential_expiry import Source, start_of
from exporter.core.endpoints import cloud_of
from exporter.metrics.samples import Values, one
from exporter.metrics.text_format import Sample


def config_samples(config: Config, target: Target, module: Module, tenant: str | None) -> Values:
    """Return what the configuration declares.

    `tenant` from a challenge replaces the configured one.
    """
    credential = config.credentials[target.credential]
    cloud = cloud_of(target.vault)
    info = {
        **target.labels,
        "key": target.key,
        "credential": credential.name,
        "module": module.name,
        "mode": module.mode,
        "cloud": cloud.name if cloud else "",
        "tenant": tenant or credential.tenant_id or "",
        "generation": target.generation,
        "pin": "none" if target.key_version is None else "config",
        "vantage": config.settings.vantage,
        "thumbprint": target.thumbprint or "",
    }
    return {
        "ekm_probe_interval_seconds": one(target.interval),
        "ekm_key_backup_timestamp_seconds": one(None if target.backup_on is None else start_of(target.backup_on)),
        "ekm_target_info": [(tuple(info.items()), 1.0)],
        "ekm_instance_info": [(instance, 1.0) for instance in dict.fromkeys(tuple(each.items()) for each in target.instances)],
    }


def credential_samples(credential: Credential, lookups: Mapping[Source, tuple[float | None, float]]) -> Values:
    """Return the expiry of a credential by source.

    `lookups` holds the date, if any, and the time of each lookup.
    """
    declared = {} if credential.expires_on is None else {Source.DECLARED: start_of(credential.expires_on)}
    found = {source: end for source, (end, _) in lookups.items() if end is not None}
    ends: list[Sample] = [((("source", source),), end) for source, end in {**declared, **found}.items()]
    return {
        "ekm_credential_expiry_timestamp_seconds": ends,
        "ekm_credential_expiry_known": one(bool(ends) if ends or credential.may_expire else None),
        "ekm_credential_expiry_lookup_last_success_timestamp_seconds": [
            ((("source", source),), at) for source, (_, at) in lookups.items()
        ],
    }


def check_samples(results: Iterable[CheckResult] | None) -> Values:
    """Return the failed preflight checks; None before the first run.

    Only the outcome `fail` counts.
    """
    failed = None if results is None else [result.check for result in results if result.outcome is CheckOutcome.FAIL]
    return {
        "ekm_preflight_failed_checks": one(None if failed is None else len(failed)),
        "ekm_preflight_failed": [((("check", name),), 1.0) for name in failed or ()],
    }


def error_samples(error: ConnectorError) -> Values:
    """Return the meaning of an error code."""
    info = (
        ("symbol", error.symbol),
        ("category", error.category),
        ("owner", error.owner),
        ("summary", error.summary),
        ("action", first_action(error.code)),
    )
    return {"ekm_error_info": [(info, 1.0)]}
