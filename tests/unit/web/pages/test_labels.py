"""Short names on pages."""

import pytest

from exporter.web.pages.views import brief_name


@pytest.mark.parametrize(
    ("name", "brief"),
    [
        ("contoso-prod.vault.azure.net", "contoso-prod"),
        ("contoso-prod.vault.azure.net/Key0/0123", "contoso-prod/Key0"),
        ("contoso.vault.usgovcloudapi.net/Key0", "contoso/Key0"),
        ("contoso.managedhsm.azure.net", "contoso"),
        ("login.microsoftonline.com:443", "login.microsoftonline.com:443"),
        ("team/sql-prod", "team/sql-prod"),
    ],
)
def test_brief_name_has_no_azure_domain_and_no_version(name, brief):
    assert brief_name(name) == brief
