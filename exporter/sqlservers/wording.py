"""The words in the texts of failures that depend on the reader: flags of `inventory`, or settings of `run`."""

from __future__ import annotations

from collections.abc import Mapping

Words = Mapping[str, str]

_TABLE = {  # word: for `inventory`, for `run`
    "application": ("ekm-exporter inventory", "ekm-exporter"),
    "slow": ("raise --sql.timeout", "find out why the server is slow"),
    "whole": (", {times} times --sql.timeout: raise it", ": find out why the server is slow"),
    "trust": (
        "give its authority with --sql.ca.file, or accept any certificate with --sql.encrypt trust",
        "set ca_file to its authority, or certificate_sha256 to its SHA-256",
    ),
    "login": ("check --sql.user and the password file", "check user and password of this server in sql_servers"),
    "sign_in": ("give --sql.user, or --sql.entra", "set user, or entra_credential"),
    "windows": ("sign in as a Windows account, or use inventory.ps1", "sign in as a Windows account"),
    "later": ("run the command again later", "wait until the exporter tries again"),
}
INVENTORY: Words = {word: texts[0] for word, texts in _TABLE.items()}
RUN: Words = {word: texts[1] for word, texts in _TABLE.items()}
