"""Who may read and write the folders of an installation, as security descriptors (SDDL)."""

from __future__ import annotations

_READ, _READ_RUN, _MODIFY = "FR", "0x1200a9", "0x1301bf"
_USERS = "BU"
# Folders of the installation and the right of the service; "" is the installation itself. Administrators and the system have every right.
SERVICE_RIGHTS = {"": _READ_RUN, "secrets": _READ, "state": _MODIFY, "logs": _MODIFY}
PROGRAM = "app"  # every user may run the program: it has no secrets, and each service of the host runs it
ADMINISTRATORS_ONLY = "O:BAD:P(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)"  # administrators own it; only they and the system have rights


def folder_rights(service_sid: str) -> dict[str, str]:
    """Return the security descriptor of each folder; the outer folder comes first."""
    rights = {folder: _with(right, service_sid) for folder, right in SERVICE_RIGHTS.items()}
    return {**rights, PROGRAM: _with(_READ_RUN, _USERS)}


def _with(right: str, who: str) -> str:
    return f"{ADMINISTRATORS_ONLY}(A;OICI;{right};;;{who})"
