"""One YAML file: bytes to a tree, the tree to sections, each problem at its line.

For: reading any YAML file by a table of its keys, whose types of values are in `types`. Not for: a setting of the exporter.
"""

from exporter.config.yaml.fields import Field, FieldType, Section, read_section, report_wrong_type, require, unique_keys
from exporter.config.yaml.problems import Location, Problem, ProblemList
from exporter.config.yaml.tree import SIZE_LIMIT, DocumentError, Mapping, Node, Scalar, Sequence, Type, read_document

__all__ = [
    "SIZE_LIMIT",
    "DocumentError",
    "Field",
    "FieldType",
    "Location",
    "Mapping",
    "Node",
    "Problem",
    "ProblemList",
    "Scalar",
    "Section",
    "Sequence",
    "Type",
    "read_document",
    "read_section",
    "report_wrong_type",
    "require",
    "unique_keys",
]
