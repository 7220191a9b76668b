"""The process: threads and tasks, the lag of its loop, files, log lines, signals, errors of the operating system.

Knows nothing of vaults. Each module stands alone; `process` and `signals` import little, since every command imports them. Only `process`, `signals`, `errors` and `files` depend on the operating system.
"""
