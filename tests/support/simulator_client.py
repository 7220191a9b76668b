"""A plain client of the simulator, without any code of the exporter."""

import base64
import json
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

VAULT, OTHER, HSM = "contoso-one.vault.azure.net", "contoso-two.vault.azure.net", "contoso-hsm.managedhsm.azure.net"
SQL = "N1\\SQLPRD01"
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
OTHER_CLIENT = "66666666-7777-8888-9999-000000000001"
MONITOR = "66666666-7777-8888-9999-000000000002"  # reads Microsoft Graph and the dates of secrets
SECRET = "marked-secret-one"
MONITOR_SECRET = "marked-secret-of-the-monitor"
GRAPH = "graph.microsoft.com"
MANAGEMENT = "management.azure.com"
KEY, VERSION = "TdeKey", "0123456789abcdef0123456789abcd01"
ENTRA = "login.microsoftonline.com"


class SimulatorResolver(AbstractResolver):
    """Resolves names by `connect_to`."""

    def __init__(self, simulator):
        self._simulator = simulator

    async def resolve(self, host, port=0, family=socket.AF_INET):  # noqa: ARG002 - as aiohttp calls it
        address, _, real = self._simulator.connect_to[f"{host}:{port}"].partition(":")
        return [
            {
                "hostname": host,
                "host": address,
                "port": int(real),
                "family": socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
        ]

    async def close(self):
        pass


@dataclass
class Reply:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]


class Client:
    def __init__(self, simulator, timeout=30.0):
        self.simulator = simulator
        context = ssl.create_default_context(cadata=simulator.ca_pem.decode())
        connector = aiohttp.TCPConnector(resolver=SimulatorResolver(simulator), use_dns_cache=False, ssl=context)
        self.session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=timeout),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    async def request(self, method, url, **more):
        async with self.session.request(method, url, allow_redirects=False, **more) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def challenge(self, vault=VAULT):
        return await self.request("GET", f"https://{vault}/keys?api-version=7.4")

    async def token_answer(self, *, secret=SECRET, client=CLIENT, tenant=TENANT, resource="https://vault.azure.net", v1=False):
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
        form |= {"resource": resource} if v1 else {"scope": f"{resource}/.default"}
        return await self.request("POST", f"https://{ENTRA}/{tenant}/oauth2/{'' if v1 else 'v2.0/'}token", data=form)

    async def token(self, **more):
        return (await self.token_answer(**more)).json["access_token"]

    async def get(self, token, *, vault=VAULT, path=f"/keys/{KEY}/{VERSION}", query="?api-version=7.4"):
        return await self.request("GET", f"https://{vault}{path}{query}", headers={"Authorization": f"Bearer {token}"})

    async def operate(self, token, operation, value, *, vault=VAULT, key=KEY, version=VERSION, algorithm="RSA-OAEP"):
        return await self.request(
            "POST",
            f"https://{vault}/keys/{key}/{version}/{operation}?api-version=7.4",
            headers={"Authorization": f"Bearer {token}"},
            json={"alg": algorithm, "value": base64.urlsafe_b64encode(value).rstrip(b"=").decode()},
        )

    async def pages(self, token, path, query=""):
        """Yield the items of each page of a list; a page links to the next one."""
        query = f"?api-version=7.4{query}"
        while True:
            page = (await self.get(token, path=path, query=query)).json
            yield page["value"]
            if page["nextLink"] is None:
                return
            link = urlsplit(page["nextLink"])
            assert (link.scheme, link.netloc) == ("https", f"{VAULT}:443")
            path, query = link.path, "?" + link.query

    async def unwrap_text(self, token, text, **more):
        padded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return await self.operate(token, "unwrapkey", padded, **more)
