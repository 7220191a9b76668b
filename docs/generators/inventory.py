"""The written file, the flags and the parameters of docs/inventory.md, from the command and its script.

The sample is made as the tests make theirs, see `gate`.
"""

from __future__ import annotations

from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart
from docs.generators.powershell import parameters
from exporter.inventory.plan import HandWritten, make_plan
from exporter.inventory.render import files_of
from tests.support.gate_factories import URIS, instance


def result() -> str:
    """Return the file that the inventory writes about two replicas, without the line of its checksum."""
    replicas = [instance(f"N{number}\\SQLPRD01", ag="AG7") for number in (1, 2)]
    (written,) = files_of(make_plan(replicas, URIS, HandWritten(), {}), (), "../secrets").values()
    return f"```yaml\n{written.partition(chr(10))[2]}```"


PARTS = (
    GeneratedPart("flags", lambda: flags("inventory")),
    GeneratedPart("parameters", lambda: parameters("inventory.ps1")),
    GeneratedPart("result", result),
)
