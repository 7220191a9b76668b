"""The OpenVEX document of a release: published advisories about locked packages that the locked versions have fixed.

The bill of materials names the packages, and this document answers what a scanner finds about them. The same source gives the same bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import licences

CONTEXT = "https://openvex.dev/ns/v0.2.0"
AUTHOR = "The maintainers of ekm-exporter"
REVIEWED = "2026-11-28T00:00:00Z"  # when the rows were compared with the advisories: change it with them


@dataclass(frozen=True)
class Advisory:
    """`fixed` is the first version of the package with the fix."""

    name: str
    package: str
    fixed: str
    description: str


# Of the packages that read what another host sends. A test compares each row with the locked version.
ADVISORIES = (
    Advisory("CVE-2026-22815", "aiohttp", "3.13.4", "Headers and trailers of a message use memory without a limit."),
    Advisory("CVE-2026-21226", "azure-core", "1.38.0", "Untrusted data is deserialised, which can run code."),
    Advisory("CVE-2026-26007", "cryptography", "46.0.5", "Public keys on SECT curves are not checked for their subgroup."),
    Advisory("CVE-2026-32597", "pyjwt", "2.12.0", "A token with an unknown critical header is accepted."),
    Advisory("CVE-2026-21441", "urllib3", "2.6.3", "The body of a redirect is decompressed without a limit."),
    Advisory("CVE-2026-44432", "urllib3", "2.7.0", "A response that is read in parts is decompressed as a whole."),
)


def _statement(advisory: Advisory, product: str, version: str) -> dict[str, Any]:
    return {
        "vulnerability": {
            "@id": f"https://nvd.nist.gov/vuln/detail/{advisory.name}",
            "name": advisory.name,
            "description": advisory.description,
        },
        "products": [{"@id": product, "subcomponents": [{"@id": f"pkg:pypi/{advisory.package}@{version}"}]}],
        "status": "fixed",
        "status_notes": f"{advisory.package} {advisory.fixed} has the fix. The locked list, from which image and Windows packages are built, "
        f"has {version}.",
    }


def document(version: str, lock: str) -> str:
    """Return the document of a version with this locked list."""
    locked = licences.locked(lock)
    product = f"pkg:pypi/ekm-exporter@{version}"
    statements = [_statement(one, product, locked[one.package]) for one in ADVISORIES]
    digest = hashlib.sha256(json.dumps([REVIEWED, statements], sort_keys=True).encode()).hexdigest()
    head = {"@context": CONTEXT, "@id": f"https://openvex.dev/docs/public/vex-{digest}", "author": AUTHOR, "role": "Supplier"}
    return json.dumps({**head, "timestamp": REVIEWED, "version": 1, "statements": statements}, indent=2) + "\n"
