"""What only Windows has: its service manager, event log, registry and certificate store, by ctypes.

Each module can be imported on every system; its functions work on Windows alone. Not here: what a result means, which `core` decides.
"""
