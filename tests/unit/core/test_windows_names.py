"""Names of files that Windows takes for devices."""

import pytest

from exporter.core.names import is_device


@pytest.mark.parametrize(
    "name", ["con", "NUL", "aux.yml", "prn.tar.gz", "COM1", "lpt9.txt", "com¹", "nul ", "con .yml", "CONIN$"]
)
def test_device_is_found(name):
    assert is_device(name)


@pytest.mark.parametrize("name", ["", "contoso", "con-prod.yml", "com10", "lpt", "xcon", "_con.yml", ".nul", "null"])
def test_other_name_is_none(name):
    assert not is_device(name)
