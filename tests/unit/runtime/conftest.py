from tests.unit.clients.conftest import pool  # noqa: F401 - fixtures
