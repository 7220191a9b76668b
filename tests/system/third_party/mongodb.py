"""Round trips with MongoDB's C client, libmongocrypt.

The library writes every request and reads every response. This module only carries the bytes over TLS.
"""

import contextlib
import socket
import ssl
import struct

from pymongocrypt.errors import MongoCryptError
from pymongocrypt.options import MongoCryptOptions
from pymongocrypt.synchronous.explicit_encrypter import ExplicitEncrypter
from pymongocrypt.synchronous.state_machine import MongoCryptCallback

_ALGORITHM, _NAME, _PLAIN = "AEAD_AES_256_CBC_HMAC_SHA_512-Random", "one", "a column's value"
_SECONDS = 60  # until a silent server counts as hanging


def bson(document: dict) -> bytes:
    """BSON of text, bytes and documents, which is all that the library needs here."""
    members = b"".join(_member(name, value) for name, value in document.items())
    return struct.pack("<i", len(members) + 5) + members + b"\0"


def _member(name, value):
    if isinstance(value, dict):
        kind, content = b"\x03", bson(value)
    elif isinstance(value, bytes):
        kind, content = b"\x05", struct.pack("<ib", len(value), 0) + value
    else:
        text = value.encode() + b"\0"
        kind, content = b"\x02", struct.pack("<i", len(text)) + text
    return kind + name.encode() + b"\0" + content


class Carrier(MongoCryptCallback):
    """Sends the library's requests, without its pauses before a retry, and keeps its data keys."""

    def __init__(self, ca_file):
        self.sent = []
        self._tls = ssl.create_default_context(cafile=ca_file)
        self._keys = []

    def kms_request(self, kms_context):
        host, _, port = kms_context.endpoint.partition(":")
        line, _, _ = kms_context.message.decode().partition("\r\n")
        self.sent.append(f"{host} {line}")
        with (
            socket.create_connection((host, int(port or 443)), _SECONDS) as connection,
            self._tls.wrap_socket(connection, server_hostname=host) as encrypted,
        ):
            encrypted.sendall(kms_context.message)
            while kms_context.bytes_needed > 0:
                received = encrypted.recv(kms_context.bytes_needed)
                assert received, "the server closed the connection"
                kms_context.feed(received)

    def fetch_keys(self, _filter):
        return self._keys

    def insert_data_key(self, data_key):
        self._keys.append(data_key)

    def bson_encode(self, doc):
        return bson(doc)

    def collection_info(self, *_):
        raise AssertionError("only automatic encryption reads collections")

    def mark_command(self, *_):
        raise AssertionError("only automatic encryption marks commands")

    def close(self):
        pass


def round_trip(request: dict) -> dict:
    """Create a data key (wrapped by the vault), encrypt, and decrypt (unwrapped by the vault)."""
    carrier = Carrier(request["ca_file"])
    master_key = {"keyVaultEndpoint": request["vault"], "keyName": request["key"]}
    if request["version"]:
        master_key["keyVersion"] = request["version"]
    try:
        with _client(request, carrier) as client:
            client.create_data_key("azure", master_key, [_NAME])
        with _client(request, carrier) as client:  # a new one, which has cached nothing
            plain = bson({"v": _PLAIN})
            decrypted = client.decrypt(client.encrypt(plain, _ALGORITHM, key_alt_name=_NAME))
    except MongoCryptError as error:
        return {"sent": carrier.sent, "name": type(error).__name__, "code": error.code, "message": str(error)}
    return {"sent": carrier.sent, "same": decrypted == plain}


def _client(request, carrier):
    azure = {"tenantId": request["tenant"], "clientId": request["client"], "clientSecret": request["secret"]}
    return contextlib.closing(ExplicitEncrypter(carrier, MongoCryptOptions({"azure": azure})))
