"""Certificates, and scenes that are stopped after the test."""

import pytest

from tests.support.expiry_simulated import Scene
from tests.support.tls_server import Authority, Principal


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("expiry-ca"))


@pytest.fixture(scope="session")
def principal(authority):
    return Principal(authority)


@pytest.fixture
async def set_up(tmp_path, principal):
    """Start a scene; arguments are edits of its configuration."""
    started = []

    async def begin(*changes, **more):
        scene = Scene(tmp_path, principal, *changes, **more)
        await scene.start()
        started.append(scene)
        return scene

    yield begin
    for scene in started:
        await scene.stop()


@pytest.fixture
async def scene(set_up):
    return await set_up()
