"""Bodies and headers of responses as values: pure parsers."""
