"""Sign in through Azure Arc, with the simulator in the same process.

Runs on a machine that has the folder of the Azure Arc agent. The arguments are client ids; "" means the identity of the host.
Prints JSON: the result for each client id, the counted requests, and the files in the folder before and after the simulator stops.
"""

import asyncio
import base64
import json
import os
import stat
import sys
from pathlib import Path

import aiohttp
from azure.core.exceptions import ClientAuthenticationError
from azure.identity.aio import ManagedIdentityCredential

from exporter.simulator.http import PATHS
from exporter.simulator.simulator import Simulator
from tests.support.simulated_vaults import environment

FOLDER = Path("/var/opt/azcmagent/tokens")


def modes():
    return [oct(stat.S_IMODE(path.stat().st_mode)) for path in FOLDER.iterdir()]


async def sign_in(client_id):
    async with ManagedIdentityCredential(client_id=client_id or None, retry_total=0) as credential:
        try:
            token = (await credential.get_token("https://vault.azure.net/.default")).token
        except ClientAuthenticationError as error:
            return type(error).__name__
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["appid"]


async def main():
    async with Simulator(environment(), arc_token_folder=FOLDER) as simulator:
        os.environ |= {
            "IDENTITY_ENDPOINT": simulator.management_url + PATHS["arc"],
            "IMDS_ENDPOINT": f"{simulator.management_url}/arc",
        }
        got = [await sign_in(client_id) for client_id in sys.argv[1:]]
        async with aiohttp.ClientSession() as session:
            query = {"api-version": "2020-06-01", "resource": "https://vault.azure.net"}
            await session.get(simulator.management_url + PATHS["arc"], params=query, headers={"Metadata": "true"})
        unused = modes()
    counts = sorted((operation, status, count) for (host, operation, status), count in simulator.requests.items())
    print(json.dumps({"got": got, "unused": unused, "left": len(modes()), "counts": counts}))  # noqa: T201


asyncio.run(main())
