"""Failures of a key and its credential, with a killed and restarted exporter after each."""

import pytest

from tests.integration.lifecycle.harness import VAULT


async def test_exporter_survives_failures_of_its_credential(harness):
    """The credential is of each kind in turn."""
    await harness.start()
    await check_healthy(harness)
    await expire_and_renew_the_credential(harness)
    await stage_and_promote_the_next_credential(harness)
    assert await harness.running.stop() == 0


@pytest.mark.parametrize("harness", ["secret"], indirect=True)
async def test_exporter_survives_failures_of_its_key(harness):
    """No kind of credential changes what is known of a key."""
    await harness.start()
    await check_healthy(harness)
    kept = await harness.survive()
    assert len(kept) >= 6
    await expire_the_key(harness)
    await disable_the_version(harness)
    await delete_and_recover_the_key(harness)
    assert await harness.running.stop() == 0


async def check_healthy(harness):
    await harness.until("ekm_key_rotation_pending", 0)
    await harness.until("ekm_recovery_usable", 1)
    scrape = await harness.shows(None, ready=1)
    assert scrape.value("ekm_credential_usable", role="current") == 1


async def expire_the_key(harness):
    """An expired key does not wrap but still unwraps: databases open, a rotation would fail."""
    failure = ("wrap_key", 3077, "key_expired")
    fault = harness.simulator.set_fault("key_expired", vault=VAULT)
    scrape = await harness.shows(failure, ready=1)
    assert (scrape.value("ekm_probe_success"), scrape.value("ekm_consecutive_unready_probes")) == (0, 0)
    assert scrape.value("ekm_key_expiry_timestamp_seconds") < scrape.value("ekm_last_probe_timestamp_seconds")
    await harness.survive()
    await harness.shows(failure, ready=1)
    harness.simulator.clear(number=fault.number)


async def disable_the_version(harness):
    failure = ("unwrap_key", 3077, "key_disabled")  # it decides the verdict; wrap failed before it
    fault = harness.simulator.set_fault("key_disabled", vault=VAULT)
    scrape = await harness.shows(failure, ready=0)
    assert scrape.value("ekm_key_enabled") == 0
    await harness.until("ekm_errors_total", 1, step="unwrap_key", code="3077")  # a probe that the machine delayed is not counted
    await harness.survive()
    await harness.shows(failure, ready=0)
    harness.simulator.clear(number=fault.number)
    await harness.shows(None, ready=1)


async def expire_and_renew_the_credential(harness):
    """Expiry and renewal show in the next probe without a restart: no earlier token hides them."""
    failure = ("token", *harness.kind.refusal)
    harness.kind.refuse(harness.simulator)
    scrape = await harness.shows(failure, ready=0)
    before = scrape.value("ekm_last_success_timestamp_seconds")
    await harness.survive()
    scrape = await harness.shows(failure, ready=0)
    assert scrape.value("ekm_last_success_timestamp_seconds") == before
    harness.kind.renew(harness.simulator)
    await harness.shows(None, ready=1)


async def stage_and_promote_the_next_credential(harness):
    await harness.survive(next_credential="staged")
    scrape = await harness.until("ekm_credential_usable", 1, role="next")
    assert scrape.value("ekm_credential_usable", credential="staged", role="next") == 1
    await harness.shows(None, ready=1)
    await harness.survive(retired="now", credential="staged", recovery_credential="staged")
    scrape = await harness.shows(None, ready=1)
    assert scrape.value("ekm_credential_usable", role="next") is None
    assert scrape.value("ekm_credential_usable", role="current", credential="staged") == 1


async def delete_and_recover_the_key(harness):
    fault = harness.simulator.set_fault("key_soft_deleted", vault=VAULT)
    scrape = await harness.shows(("get_key", 3076, "key_soft_deleted"), ready=0)
    purge = scrape.value("ekm_key_scheduled_purge_timestamp_seconds")
    assert purge > scrape.value("ekm_last_probe_timestamp_seconds")
    kept = await harness.survive()
    assert purge in kept.values()
    # The stored facts of the key suffice to probe the recovery vault.
    proof = (await harness.next_probe()).value("ekm_recovery_last_success_timestamp_seconds")
    await harness.until("ekm_recovery_usable", 1)
    harness.simulator.clear(number=fault.number)
    scrape = await harness.shows(None, ready=1)
    assert scrape.value("ekm_key_scheduled_purge_timestamp_seconds") is None
    assert scrape.value("ekm_recovery_last_success_timestamp_seconds") >= proof
