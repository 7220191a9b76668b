import pytest

MARK = "S3CRET-MARK"
CLIENT_ID = "66666666777788889999000000000000"

# The secrets that the configurations of these tests name, all of them marked.
SECRETS = {
    "EKM_TEST_PLAIN": f"{MARK}~not-a-connector-secret-at-all",
    "EKM_TEST_CONNECTOR": f"{CLIENT_ID}{MARK}",
    "EKM_TEST_SHORT": MARK,
    "EKM_TEST_HYPHENS": f"66666666-7777-8888-9999-000000000000{MARK}",
    "EKM_TEST_ALONE": CLIENT_ID,
    "EKM_TEST_LONG": f"{CLIENT_ID}{MARK}{'x' * 80}",
}


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return SECRETS
