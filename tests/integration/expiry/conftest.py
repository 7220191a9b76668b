from tests.unit.expiry.conftest import authority, principal, scene, set_up  # noqa: F401 - fixtures
