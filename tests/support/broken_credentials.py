"""Secrets, certificate files, identities and proxies, each broken as its scenario defines."""

import asyncio
import contextlib
import datetime as dt
import itertools
import socket

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from exporter.config.settings import Credential, SecretSource
from exporter.core.values import CredentialKind
from exporter.simulator.faults import Options
from tests.support.tls_server import Authority, Principal
from tests.support.values import replace

_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


class Certificates:
    """Certificate files: valid ones and a broken one for each scenario."""

    def __init__(self, folder):
        self.principal = Principal(Authority(folder, "Principals"))
        self.other = Principal(Authority(folder, "Others"))
        self.short_key = short_key()
        self.short_certificate = self_signed(self.principal.key, self.short_key.public_key())

        self.past = self_signed(self.principal.key, self.principal.key.public_key(), starts=-2 * _DAY, ends=-_DAY)

    @property
    def registered(self):
        """The certificates of the applications as DER. The second has expired."""
        return tuple(one.public_bytes(serialization.Encoding.DER) for one in (self.principal.certificate, self.past))

    def broken(self, scenario):
        """The content and the password of the file of a scenario."""
        good, other = self.principal, self.other
        return {
            "pfx_wrong_password": lambda: (good.pfx(b"renewed"), "before"),
            "pfx_cut": lambda: (good.pfx(None)[:400], None),
            "pfx_without_certificate": lambda: (good.pfx(None, certificate=False), None),
            "pfx_without_key": lambda: (good.pfx(None, key=False), None),
            "pfx_elliptic": lambda: (good.elliptic_pfx(), None),
            "pfx_other_key": lambda: (pfx(other.key, None, [good.certificate]), None),
            "pfx_short_key": lambda: (pfx(self.short_key, self.short_certificate), None),
            "pem_without_certificate": lambda: (good.key_pem(), None),
            "pem_without_key": lambda: (good.certificate_pem(), None),
            "pem_elliptic": lambda: (good.certificate_pem() + good.elliptic_key_pem(), None),
            "pem_other_key": lambda: (good.certificate_pem() + other.key_pem(), None),
            "pem_wrong_password": lambda: (good.certificate_pem() + good.key_pem(b"renewed"), "before"),
            "pem_short_key": lambda: (pem(self.short_key, self.short_certificate), None),
        }[scenario]()


def pfx(key, certificate, more=None):
    return pkcs12.serialize_key_and_certificates(b"x", key, certificate, more, serialization.NoEncryption())


def pem(key, certificate):
    form, lock = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, lock) + certificate.public_bytes(serialization.Encoding.PEM)


def self_signed(issuer_key, public_key, *, starts=-_DAY, ends=_DAY):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "principal")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public_key).serial_number(7)
    return builder.not_valid_before(_NOW + starts).not_valid_after(_NOW + ends).sign(issuer_key, hashes.SHA256())


def short_key():
    """An RSA key of 512 bits, computed from two primes: no library generates one."""
    p, q = (
        next(n for n in itertools.count(start, 2) if n % 65537 != 1 and pow(2, n - 1, n) == 1)
        for start in (3 * 2**254 + 1, 7 * 2**253 + 1)
    )
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), rsa.RSAPublicNumbers(65537, p * q))
    return numbers.private_key()


def credential_of(scenario, given, folder, certificates):
    """The credential `given`, changed as a scenario defines."""
    file, digits = folder / scenario.name, given.client_id.replace("-", "")
    if scenario.name in ("credential_cut", "credential_without_secret"):
        file.write_text(digits[:31] if scenario.name == "credential_cut" else digits)
        return replace(given, kind=CredentialKind.CONNECTOR_SECRET, secret=SecretSource(file=file))
    if scenario.name == "secret_gone":
        return replace(given, secret=SecretSource(file=file))
    if scenario.name == "certificate_gone":
        return by_certificate(given, file)
    content, password = certificates.broken(scenario.name)
    file.write_bytes(content)
    return by_certificate(given, file, password)


def by_certificate(given, file, password=None):
    source = None
    if password is not None:
        source = SecretSource(file=file.with_suffix(".password"))
        source.file.write_text(password)
    return replace(given, kind=CredentialKind.CLIENT_CERTIFICATE, secret=None, certificate_file=file, password=source)


def by_identity(given, client_id=None):
    return Credential(name=given.name, kind=CredentialKind.MANAGED_IDENTITY, client_id=client_id)


@contextlib.asynccontextmanager
async def proxy(scenario):
    """The address of a proxy that fails as the scenario defines. A proxy that responds reads a whole CONNECT first."""
    if scenario.name == "proxy_unresolvable":
        yield "http://proxy.invalid:3128"
        return
    if scenario.name == "proxy_refused":
        yield f"http://127.0.0.1:{closed_port()}"
        return
    response = {
        "proxy_unauthorized": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "proxy_redirects": b"HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "proxy_bad_gateway": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "proxy_not_http": b"220 mail.contoso.example ESMTP\r\n\r\n",
    }.get(scenario.name)
    over = asyncio.Event()

    async def answer(reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if response is None:
                await over.wait()
            else:
                writer.write(response)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            over.set()


def at_status(status):
    return Options(status=status)


@contextlib.contextmanager
def silent_port():
    """Yield a port that accepts connections into its backlog and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield silent.getsockname()[1]


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
