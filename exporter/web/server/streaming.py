"""Sending a long answer in pieces, so that nobody else on the event loop has to wait for it.

For: the exposition and the long pages, plain or gzipped.
Not for: deciding what a client accepts (see `negotiation`) or what is sent.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

# A third of the time of zlib's usual level for a sixth more bytes.
_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's way to say: a gzip header and the largest window
# Handing a piece to a thread costs about 0.1 ms: so much is worth compressing at once.
_BATCH_BYTES = 128 * 1024
# So much of an answer is written at once, and the rest waits for the client.
SLICE_BYTES = 64 * 1024
# A client that has not taken the whole answer by then is cut off.
SECONDS_TO_TAKE_IT = 60.0


async def stream(
    request: web.Request, pieces: AsyncIterator[bytes], *, headers: Mapping[str, str], gzip: bool = False
) -> web.StreamResponse:
    """Send `pieces` as they come, chunked, at most `SLICE_BYTES` at once. A client that stops reading is disconnected after `SECONDS_TO_TAKE_IT`."""
    response = web.StreamResponse(headers=headers)
    if gzip:
        response.headers["Content-Encoding"] = "gzip"
    if request.method == "HEAD":
        await response.prepare(request)
        await response.write_eof()
        return response
    try:
        async with asyncio.timeout(SECONDS_TO_TAKE_IT):
            await response.prepare(request)
            async for piece in compressed(pieces) if gzip else pieces:
                for at in range(0, len(piece), SLICE_BYTES):
                    await response.write(piece[at : at + SLICE_BYTES])
                    await asyncio.sleep(0)
            await response.write_eof()
    except TimeoutError:
        _cut(request)
    except Exception:
        # An answer that has begun cannot become another one: the client must see that it is incomplete.
        _cut(request)
        raise
    return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes as one gzip stream, made in a worker thread (zlib lets go of the interpreter's lock)."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    batch: list[bytes] = []
    size = 0
    async for piece in pieces:
        batch.append(piece)
        size += len(piece)
        if size >= _BATCH_BYTES:
            if done := await asyncio.to_thread(compressor.compress, b"".join(batch)):
                yield done
            batch.clear()
            size = 0
    rest = b"".join(batch)
    yield await asyncio.to_thread(lambda: compressor.compress(rest) + compressor.flush())
