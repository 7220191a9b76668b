"""Local encryption, which replaces a wrap that the vault refused."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from exporter.clients.key_vault import encrypt_locally
from exporter.core.values import KeyFacts


@pytest.fixture(scope="module")
def pair():
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = private.public_key().public_numbers()
    key = KeyFacts(
        name="Key0",
        version="1",
        kid="https://contoso.vault.azure.net/keys/Key0/1",
        kty="RSA",
        size_bits=2048,
        modulus=numbers.n.to_bytes(256, "big"),
        exponent=numbers.e.to_bytes(3, "big"),
    )
    return private, key


@pytest.mark.parametrize(("algorithm", "digest"), [("RSA-OAEP", hashes.SHA1), ("RSA-OAEP-256", hashes.SHA256)])
def test_private_key_decrypts_locally_encrypted_bytes(pair, algorithm, digest):
    private, key = pair
    data = bytes(range(32))
    sealed = encrypt_locally(key, algorithm, data)
    assert private.decrypt(sealed, padding.OAEP(padding.MGF1(digest()), digest(), None)) == data


@pytest.mark.parametrize(
    ("change", "algorithm", "size"),
    [
        ({}, "RSA1_5", 32),
        ({"kty": "EC"}, "RSA-OAEP", 32),
        ({"size_bits": 4096}, "RSA-OAEP", 32),
        ({"exponent": b"\x02"}, "RSA-OAEP", 32),
        ({"modulus": b"\x01" * 20}, "RSA-OAEP", 32),
        ({}, "RSA-OAEP", 500),
    ],
)
def test_unusable_key_algorithm_or_data_gives_none(pair, change, algorithm, size):
    assert encrypt_locally(replace(pair[1], **change), algorithm, bytes(size)) is None
