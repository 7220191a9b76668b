"""Build a module from its section; check its proxy and its CA file."""

from __future__ import annotations

from pathlib import Path

from exporter.config.loader.build_credentials import check_secret, secret_source
from exporter.config.settings import Module, Proxy
from exporter.config.settings.metadata import plain_values
from exporter.config.yaml import Location, Section
from exporter.runtime.files import FileUnreadableError, read_whole

CA_LIMIT = 4 * 1024 * 1024


def build_module(name: str, section: Section) -> Module:
    """Build the module. Problems are reported."""
    tls: Section | None = section.get("tls")
    proxy: Section | None = section.get("proxy")
    ca_file: Path | None = tls.get("ca_file") if tls is not None else None
    if tls is not None and ca_file is not None:
        check_ca(ca_file, tls.location_of("ca_file"))
    built = {"ca_file": ca_file, "proxy": _proxy(proxy) if proxy is not None else None}
    return Module(name=name, **(plain_values(Module, section) | built))


def _proxy(section: Section) -> Proxy | None:
    password = secret_source(section, "password", needed=section.is_set("username"))
    if password is not None:
        check_secret(password, section.location_of("password_file" if password.file else "password_env"))
        if not section.is_set("username"):
            section.location.child("username").error("is required with a password")
    if section.get("url") is None:
        return None
    built = {"no_proxy": tuple(host.lower() for host in section.get("no_proxy") or ()), "password": password}
    return Proxy(**(plain_values(Proxy, section) | built))


def check_ca(file: Path, location: Location) -> None:
    """Report a file without a certificate in PEM."""
    import ssl  # noqa: PLC0415 - it takes a twentieth of a check, and few configurations have such a file

    try:
        text = read_whole(file, limit=CA_LIMIT).decode("ascii", "replace")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except FileUnreadableError as error:
        location.error(str(error))
    except (ssl.SSLError, ValueError):
        location.error("contains no certificate in PEM")
