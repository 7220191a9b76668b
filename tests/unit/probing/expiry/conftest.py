"""Certificates, and harnesses that are stopped after the test."""

import pytest

from tests.support.expiry_simulated import ExpiryHarness


@pytest.fixture
async def set_up(tmp_path, principal):
    """Start a harness; arguments are edits of its configuration."""
    started = []

    async def begin(*changes, **more):
        harness = ExpiryHarness(tmp_path, principal, *changes, **more)
        await harness.start()
        started.append(harness)
        return harness

    yield begin
    for harness in started:
        await harness.stop()


@pytest.fixture
async def harness(set_up):
    return await set_up()
