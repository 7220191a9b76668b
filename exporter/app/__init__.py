"""The running process: wiring, reload, shards. Must not contain rules of the parts."""
