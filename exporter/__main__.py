"""Start `ekm-exporter` and `python -m exporter`, and handle signals meanwhile.

The module imports little, because the command's imports take half a second.
"""

import os
import sys

from exporter.runtime import process

INTERRUPTED = 130
_SERVING = ("run", "demo", "simulate")  # commands that run until a signal ends them


def main() -> int:
    """Run the command and return its exit code; a serving command ends the process itself."""
    process.forbid_core_dumps()
    serving = sys.argv[1:2] and sys.argv[1] in _SERVING
    if serving:
        process.hold_signals(os._exit)  # nothing is open yet, and imports swallow exceptions
    try:
        from exporter.cli.main import main as command  # noqa: PLC0415 - see above

        if serving:
            process.hold_signals(sys.exit)
        code = command()
    except KeyboardInterrupt:
        return INTERRUPTED
    else:
        if serving:
            process.leave(code)
        return code
    finally:
        if serving:
            process.ignore_signals()


if __name__ == "__main__":
    sys.exit(main())
