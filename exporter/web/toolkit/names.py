"""The names in a client's certificate against those that may come in.

For: `client_allowed_sans`, as exporter-toolkit compares them: DNS names, e-mail addresses, addresses and URIs, letter by letter.
Not for: verifying a certificate, which TLS has done before.
"""

from __future__ import annotations

from cryptography import x509


def names_of(certificate: bytes) -> frozenset[str]:
    """The alternative names of a DER certificate; none where it has none or cannot be read."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return frozenset()
    names = extension.value
    plain = [
        *names.get_values_for_type(x509.DNSName),
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]
    return frozenset([*plain, *(str(address) for address in names.get_values_for_type(x509.IPAddress))])


def has_allowed_name(certificate: bytes | None, allowed: frozenset[str] | None) -> bool:
    """True where nothing is asked of names; False for no certificate at all."""
    return allowed is None or (certificate is not None and not allowed.isdisjoint(names_of(certificate)))
