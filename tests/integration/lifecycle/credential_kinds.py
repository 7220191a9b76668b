"""The credential kinds of the lifecycle test: a secret and a managed identity.

Each can be refused and renewed, and has a staged successor.
"""

from exporter.config.settings import Credential
from exporter.core.values import CredentialKind
from exporter.simulator.environment import Application, ClientSecret
from exporter.simulator.faults import Options
from tests.support.factories import a_credential
from tests.support.values import replace

TENANT = "11111111-2222-3333-4444-555555555555"
NOW, STAGED = "66666666-7777-8888-9999-000000000001", "66666666-7777-8888-9999-000000000002"
LONG_AGO = 1_000_000_000.0


def _applications(of):
    """Both applications, each with what `of` returns for its name."""
    return {
        client: Application(client_id=client, object_id=f"o-{name}", names=(name,), **of(name))
        for name, client in (("now", NOW), ("staged", STAGED))
    }


class Secret:
    """A client secret that expires in Entra, and a new one in the same file."""

    kind = CredentialKind.CLIENT_SECRET
    refusal = (3303, "secret_expired")

    def __init__(self, folder):
        self._folder = folder
        for name in ("now", "staged"):
            (folder / name).write_text(f"MARKED~{name}.one\n")

    def environment(self, _simulator):
        return {}

    def applications(self):
        return _applications(lambda name: {"secrets": (ClientSecret(value=f"MARKED~{name}.one"),)})

    def credential(self, name, client):
        return a_credential(name, tenant_id=TENANT, client_id=client, file=self._folder / name)

    def refuse(self, simulator):
        """Expire the current secret."""
        simulator.state.change_application(NOW, lambda one: replace(one, secrets=(replace(one.secrets[0], expires=LONG_AGO),)))

    def renew(self, simulator):
        """Add a new secret and write it to the file."""
        fresh = ClientSecret(value="MARKED~now.two")
        simulator.state.change_application(NOW, lambda one: replace(one, secrets=(*one.secrets, fresh)))
        self._swap("now", b"MARKED~now.two\n")

    def _swap(self, name, content):
        """Replace a file atomically, as a Kubernetes volume does."""
        fresh = self._folder / f"{name}.new"
        fresh.write_bytes(content)
        fresh.replace(self._folder / name)


class ManagedIdentity:
    """A user-assigned identity, removed from the host and assigned again."""

    kind = CredentialKind.MANAGED_IDENTITY
    refusal = (3304, "identity_unavailable")

    def __init__(self, _folder):
        pass

    def environment(self, simulator):
        return {"IDENTITY_ENDPOINT": simulator.identity_url, "IDENTITY_HEADER": "any"}

    def applications(self):
        return _applications(lambda _: {})

    def credential(self, name, client):
        return Credential(name=name, kind=self.kind, client_id=client)

    def refuse(self, simulator):
        simulator.set_fault("status", Options(status=400, body='{"statusCode": 400}'), application=NOW)

    def renew(self, simulator):
        simulator.clear(fault="status")


KINDS = {"secret": Secret, "managed identity": ManagedIdentity}
