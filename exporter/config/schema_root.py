"""The keys of a whole file, and the two sections whose fields depend on what stands in them.

For: the table `TOP` and the readers that `schema`'s tables alone cannot express.
Not for: fields of sections.
"""

from __future__ import annotations

from exporter.config import types
from exporter.config.fields import Field, FieldType, Section, read_section, require
from exporter.config.model import CredentialKind
from exporter.config.problems import Location
from exporter.config.schema import CREDENTIAL, GLOBAL, TARGET, TARGET_DEFAULTS
from exporter.config.schema_module import MODULE, PROXY
from exporter.config.yaml_tree import Mapping, Node, Scalar


def _credential(node: Node, location: Location) -> Section | None:
    """A credential, by the fields of its type; by all fields where the type cannot be read."""
    if not isinstance(node, Mapping):
        return read_section(node, location, CREDENTIAL)
    written = next((value for key, value in node.entries if key.text == "type"), None)
    known = {str(kind): kind for kind in CredentialKind}
    kind = known.get(written.text) if isinstance(written, Scalar) else None
    section = read_section(node, location, CREDENTIAL, kind=kind)
    if section is not None:
        require(section, CREDENTIAL if kind else CREDENTIAL[:1], kind=kind)
    return section


def _module(node: Node, location: Location) -> Section | None:
    section = read_section(node, location, MODULE)
    if section is not None and (proxy := section.get("proxy")) is not None:
        require(proxy, PROXY)
    return section


def _placed(node: Node, location: Location) -> tuple[str, Location] | None:
    written = types.TEXT.read(node, location)
    return None if written is None else (written, location)


TOP: tuple[Field, ...] = (
    Field(name="global", kind=types.section(GLOBAL), doc="Settings of the exporter as a whole; in the main file only."),
    Field(
        name="include",
        kind=types.list_of(FieldType("path or pattern", _placed)),
        default="[]",
        doc="More files, with `*`, `?` and `[…]` in their names if you like; relative to the file that names them.",
    ),
    Field(
        name="target_defaults",
        kind=types.section(TARGET_DEFAULTS),
        doc="Any key of a target but its name, for the targets of the same file that do not write it; labels are merged one by one.",
    ),
    Field(
        name="credentials",
        kind=types.map_of(FieldType("credential", _credential), "credentials by name"),
        doc="Identities, by name.",
    ),
    Field(
        name="modules",
        kind=types.map_of(FieldType("module", _module), "modules by name"),
        doc="Ways to probe, by name; `default` exists without being written.",
    ),
    Field(name="targets", kind=types.list_of(types.section(TARGET)), doc="What is probed. At least one over all files."),
)
