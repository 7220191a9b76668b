"""`ekm-exporter`, and `python -m exporter`: the door, thin because loading what is behind it takes half a second.

For: obeying signals that come meanwhile.
Not for: commands (see `cli`).
"""

import os
import sys

from exporter.runtime import process

INTERRUPTED = 130
_SERVING = ("run", "demo", "simulate")  # commands that go on until a signal ends them


def main() -> int:
    """The exit code of the command."""
    process.forbid_core_dumps()
    serving = sys.argv[1:2] and sys.argv[1] in _SERVING
    if serving:
        process.hold_signals(os._exit)  # nothing is open yet, and imports swallow exceptions
    try:
        from exporter.cli.main import main as command  # noqa: PLC0415 - see above

        if serving:
            process.hold_signals(sys.exit)
        return command()
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if serving:
            process.ignore_signals()


if __name__ == "__main__":
    sys.exit(main())
