"""Start `ekm-exporter` and `python -m exporter`, and handle signals meanwhile.

Signals are held before any other import: the command's imports take half a second.
"""

import os
import sys

from exporter.runtime import signals

INTERRUPTED = 130
_SERVING = (["run"], ["demo"], ["simulate"], ["service", "run"])  # commands that run until a signal ends them


def main() -> int:
    """Run the command and end the process with its exit code.

    Returns only after an interrupt. Raises SystemExit for help and for a usage error.
    """
    serving, reloads = any(sys.argv[1 : 1 + len(words)] == words for words in _SERVING), sys.argv[1:2] == ["run"]
    if serving:
        signals.hold_signals(os._exit, reloads=reloads)  # nothing is open yet, and imports swallow exceptions
    try:
        from exporter.runtime import process  # noqa: PLC0415 - see above

        process.forbid_core_dumps()
        with process.importing():
            from exporter.cli.main import command_of, load  # noqa: PLC0415
            from exporter.cli.main import main as command  # noqa: PLC0415

            load([command_of(sys.argv[1:])])
        if serving:
            signals.hold_signals(sys.exit, reloads=reloads)
        process.leave(command())
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if serving:
            signals.ignore_signals()


if __name__ == "__main__":
    sys.exit(main())
