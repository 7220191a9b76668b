"""Fixtures of a running exporter, for tests that change its configuration."""

from tests.integration.process.conftest import command, exporter, get, samples, simulator  # noqa: F401 - fixtures
