"""How long a test waits for what must happen: only a failed test waits to the end, and a busy machine needs minutes."""

PATIENCE = 180.0  # seconds
