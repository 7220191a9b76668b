from tests.unit.expiry.conftest import authority, harness, principal, set_up  # noqa: F401 - fixtures
