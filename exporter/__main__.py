"""`ekm-exporter`, and `python -m exporter`: the door, thin because loading what is behind it takes half a second.

For: ending quietly if somebody presses Ctrl-C meanwhile.
Not for: commands (see `cli`).
"""

import sys

INTERRUPTED = 130


def main() -> int:
    """The exit code of the command."""
    try:
        from exporter.cli.main import main as command  # noqa: PLC0415 - see above

        return command()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
