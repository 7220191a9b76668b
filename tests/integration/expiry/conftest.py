from tests.support.expiry_simulated import expiry_harness, set_up  # noqa: F401 - fixtures
from tests.unit.conftest import authority, principal  # noqa: F401 - fixtures
