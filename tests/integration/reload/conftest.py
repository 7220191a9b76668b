"""A running exporter whose configuration the tests write anew."""

from tests.integration.process.conftest import command, exporter, get, samples, simulator  # noqa: F401 - fixtures
