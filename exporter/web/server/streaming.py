"""Stream a long response in pieces, plain or gzipped."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping

from aiohttp import web

# A third of the time of zlib's default level, for a sixth more bytes.
_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's value for a gzip header and the largest window
# A thread switch costs about 0.1 ms, so a piece of this size is compressed at once.
_BATCH_BYTES = 128 * 1024
# Pieces shorter than this are sent together: a write costs more than they do.
_SHORT = 2 * 1024
# Bytes written at once; the rest waits for the client.
SLICE_BYTES = 64 * 1024
# A client that has not read the whole response after this time is cut.
SECONDS_TO_TAKE_IT = 60.0


async def stream(
    request: web.Request, pieces: AsyncIterator[bytes], *, headers: Mapping[str, str], gzip: bool = False
) -> web.StreamResponse:
    """Send `pieces` in slices of `SLICE_BYTES`, within `SECONDS_TO_TAKE_IT`."""
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
        # The status line is sent already: only a cut connection shows the client that the response is incomplete.
        _cut(request)
        raise
    return response


async def encoded(pieces: Iterable[str]) -> AsyncIterator[bytes]:
    """Yield the pieces as bytes, short ones together."""
    pending, size = list[str](), 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size >= _SHORT:
            yield "".join(pending).encode()
            pending, size = [], 0
    yield "".join(pending).encode()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces as one gzip stream, compressed in a worker thread."""
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
