"""A proxy that intercepts TLS: it presents its own certificate for every host and forwards the data.

Its certificates name revocation hosts, like those of public authorities.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

CRL, OCSP = "crl.inspector.example", "ocsp.inspector.example"
ISSUER, COMPANY = "Contoso Inspection CA", "Contoso Security"
_NOW, _DAY = dt.datetime.now(dt.UTC), dt.timedelta(days=1)


def _named(*attributes):
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])


def _builder(subject, issuer, key):
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return made.serial_number(x509.random_serial_number()).not_valid_before(_NOW - _DAY).not_valid_after(_NOW + 30 * _DAY)


def _pem(*parts):
    lock = serialization.NoEncryption()
    return b"".join(
        part.public_bytes(serialization.Encoding.PEM)
        if isinstance(part, x509.Certificate)
        else part.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        for part in parts
    )


def write_certificates(folder, hosts, *, issuer=ISSUER, company=COMPANY):
    """Write `inspector-ca.pem`, and `inspector.pem` with the certificate for these hosts and its key."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = _named((NameOID.ORGANIZATION_NAME, company), (NameOID.COMMON_NAME, issuer))
    ca = _builder(name, name, ca_key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    ca = ca.sign(ca_key, hashes.SHA256())
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(f"http://{CRL}/inspector.crl")], None, None, None)
    ocsp = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"http://{OCSP}/"))
    leaf = (
        _builder(_named((NameOID.COMMON_NAME, hosts[0])), name, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
        .add_extension(x509.AuthorityInformationAccess([ocsp]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "inspector-ca.pem").write_bytes(_pem(ca))
    (folder / "inspector.pem").write_bytes(_pem(key, leaf))


@contextlib.asynccontextmanager
async def inspecting(certificate, behind, *, sni, host="127.0.0.1", port=0):
    """Listen with the certificate in that file and forward to `behind` (host, port). Yields the port."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE

    async def pass_on(reader, writer):
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError, ssl.SSLError):
            writer.close()

    async def forward(reader, writer):
        there = await asyncio.open_connection(*behind, ssl=client, server_hostname=sni)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    async with await asyncio.start_server(forward, host, port, ssl=server) as listening:
        yield listening.sockets[0].getsockname()[1]


async def main(certificate, host):
    """Inspect connections to this address, in front of the simulator at 127.0.0.1."""
    behind = inspecting(certificate, ("127.0.0.1", 443), sni="contoso.vault.azure.net", host=host, port=443)
    async with behind:
        print("inspecting", flush=True)  # noqa: T201 - the starting process waits for this
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
