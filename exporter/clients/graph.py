"""List the secrets and certificates of an application in Microsoft Graph.

It sends only two kinds of GET requests. No request or response contains a secret: Graph lists dates, hints and thumbprints.
"""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import quote

from exporter.clients.api_session import ApiSession
from exporter.core.credential_expiry import AppCredentials
from exporter.core.model import Facts
from exporter.core.parsing.credential_lists import read_application

_SELECT = "id,appId,passwordCredentials,keyCredentials"


class Holder(StrEnum):
    """The holder of secrets and certificates: an application or its service principal."""

    APPLICATION = "applications"
    SERVICE_PRINCIPAL = "servicePrincipals"


class GraphSession(ApiSession):
    """A session with Microsoft Graph, as an async context manager."""

    request_id_header = "client-request-id"

    async def list_credentials(
        self, token: str, holder: Holder, client_id: str, *, deadline: float
    ) -> tuple[Facts, AppCredentials | None]:
        """Return the secrets and certificates of the application with that client id.

        The facts have status 404 if the tenant has no such application.
        """
        path = f"/v1.0/{holder}(appId='{quote(client_id, safe='')}')?$select={_SELECT}"
        return await self.get(path, token, read_application, deadline=deadline)
