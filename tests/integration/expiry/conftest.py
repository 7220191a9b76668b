from tests.unit.conftest import authority, principal  # noqa: F401 - fixtures
from tests.unit.probing.expiry.conftest import harness, set_up  # noqa: F401 - fixtures
