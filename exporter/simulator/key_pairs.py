"""The RSA key pairs of one run, made when they are first needed and shared between keys that are nobody's secret.

For: a private key by size and number. Making one takes 10 to 400 ms, so it happens on a thread and once.
Not for: which key of which vault has which pair (see `model`).
"""

from __future__ import annotations

import asyncio

from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.core.parsing.key_vault import encode

PAIRS_PER_SIZE = 4  # more versions than these of one key share a pair


class KeyPairs:
    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], asyncio.Task[rsa.RSAPrivateKey]] = {}

    async def get(self, size: int, material: int) -> rsa.RSAPrivateKey:
        """The pair of that size in bits and number; the same one each time."""
        slot = (size, material % PAIRS_PER_SIZE)
        if slot not in self._pairs:
            self._pairs[slot] = asyncio.create_task(asyncio.to_thread(rsa.generate_private_key, 65537, size))
        return await asyncio.shield(self._pairs[slot])

    async def close(self) -> None:
        """Waits for pairs in the making: a thread cannot be stopped."""
        await asyncio.gather(*self._pairs.values(), return_exceptions=True)


def public_numbers(pair: rsa.RSAPrivateKey) -> tuple[str, str]:
    """Modulus and exponent as a JSON Web Key writes them."""
    numbers = pair.public_key().public_numbers()
    return _unsigned(numbers.n), _unsigned(numbers.e)


def _unsigned(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
