"""Values that every package uses, and the small rules on them.

Imports only the standard library: no I/O (but its own KQL files, at import), no clock, no log, and no table of codes or reasons (they are in `knowledge`). `values` first: step,
facts, fault; then `names` and `secrets`.
"""
