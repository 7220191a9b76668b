"""Fixtures of a running exporter, for tests that change its configuration."""

from tests.integration.process.conftest import exporter, get, samples, simulator, sql_port  # noqa: F401 - fixtures
from tests.integration.process.conftest import plain_command as command  # noqa: F401 - a fixture
