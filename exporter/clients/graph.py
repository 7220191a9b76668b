"""Microsoft Graph, as far as it lists the secrets and certificates of an application: two GET requests and no other.

For: the dates, hints and thumbprints of one application. No secret is in such an answer, nor in the question.
Not for: which of them is ours (see `core.credential_expiry`), signing in (see `entra`), writing anything.
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
    """What may hold secrets and certificates: the application, or its service principal in the tenant."""

    APPLICATION = "applications"
    SERVICE_PRINCIPAL = "servicePrincipals"


class GraphSession(ApiSession):
    """One look at Graph. Use as an async context manager."""

    request_id_header = "client-request-id"

    async def list_credentials(
        self, token: str, holder: Holder, client_id: str, *, deadline: float
    ) -> tuple[Facts, AppCredentials | None]:
        """The secrets and certificates of the application with that client id; status 404 where the tenant has none."""
        path = f"/v1.0/{holder}(appId='{quote(client_id, safe='')}')?$select={_SELECT}"
        return await self.get(path, token, read_application, deadline=deadline)
