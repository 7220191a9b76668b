"""The process: threads and tasks, the lag of its loop, files, log lines, signals, errors of the operating system.

Knows nothing of vaults. `process`, `signals`, `errors` and `files` depend on the operating system and import little, since every command imports
them; `tasks`, `loop` and `logging` are for what runs for long.
"""
