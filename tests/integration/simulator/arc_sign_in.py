"""Runs on a computer of its own, which has the folder of Azure Arc's agent: the simulator and azure-identity in one process.

For: printing, as JSON, what azure-identity got for each client id given ("" for the host's own identity), the operations that
were counted, and what was left in the folder, before the simulator stopped and after.
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

from exporter.simulator import Simulator
from tests.support.simulated_vaults import estate

FOLDER = Path("/var/opt/azcmagent/tokens")


def modes():
    return [oct(stat.S_IMODE(path.stat().st_mode)) for path in FOLDER.iterdir()]


async def asked(client_id):
    async with ManagedIdentityCredential(client_id=client_id or None, retry_total=0) as credential:
        try:
            token = (await credential.get_token("https://vault.azure.net/.default")).token
        except ClientAuthenticationError as error:
            return type(error).__name__
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["appid"]


async def main():
    simulator = Simulator(estate(), arc_token_folder=FOLDER)
    await simulator.start()
    os.environ |= {"IDENTITY_ENDPOINT": simulator.arc_identity_url, "IMDS_ENDPOINT": simulator.arc_imds_url}
    got = [await asked(client_id) for client_id in sys.argv[1:]]
    async with aiohttp.ClientSession() as session:
        query = {"api-version": "2020-06-01", "resource": "https://vault.azure.net"}
        await session.get(simulator.arc_identity_url, params=query, headers={"Metadata": "true"})
    unused = modes()
    await simulator.stop()
    counts = sorted((operation, status, count) for (host, operation, status), count in simulator.requests.items())
    print(json.dumps({"got": got, "unused": unused, "left": len(modes()), "counts": counts}))  # noqa: T201


asyncio.run(main())
