"""A changed copy of a value."""

import dataclasses

from msgspec import Struct, structs


def replace(value, **changes):
    """Return a copy with these fields, of a struct or a dataclass."""
    return (structs if isinstance(value, Struct) else dataclasses).replace(value, **changes)
