"""An identity endpoint that accepts connections and sends nothing."""

import asyncio
import contextlib

# The environment variables by which azure-identity finds another identity endpoint.
VARIABLES = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IMDS_ENDPOINT", "MSI_ENDPOINT")


@contextlib.asynccontextmanager
async def swallowing():
    """Yield host:port of the endpoint."""

    async def swallow(reader, writer):
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(swallow, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
