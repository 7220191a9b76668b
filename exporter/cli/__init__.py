"""The commands, one module each: the one place where the parts of the exporter are put together."""
