"""The RSA key pairs of one run, made at first use and shared between keys.

Making a pair takes 10 to 400 ms, so it happens on a thread and once. The pairs protect no data.
"""

from __future__ import annotations

import asyncio

from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.core.parsing.key_vault import encode

PAIRS_PER_SIZE = 4  # further versions of one key share a pair


class KeyPairs:
    """RSA key pairs by size and number."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[int, int], asyncio.Task[rsa.RSAPrivateKey]] = {}

    async def get(self, size: int, material: int) -> rsa.RSAPrivateKey:
        """Return the pair of that size in bits and number; the same pair at each call."""
        slot = (size, material % PAIRS_PER_SIZE)
        if slot not in self._pairs:
            self._pairs[slot] = asyncio.create_task(asyncio.to_thread(rsa.generate_private_key, 65537, size))
        return await asyncio.shield(self._pairs[slot])

    async def close(self) -> None:
        """Wait for pairs that are being made: a thread cannot be stopped."""
        await asyncio.gather(*self._pairs.values(), return_exceptions=True)


def public_numbers(pair: rsa.RSAPrivateKey) -> tuple[str, str]:
    """Return modulus and exponent in the form of a JSON Web Key."""
    numbers = pair.public_key().public_numbers()
    return _unsigned(numbers.n), _unsigned(numbers.e)


def _unsigned(number: int) -> str:
    """Encode a number as Base64url of its big-endian bytes."""
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))
