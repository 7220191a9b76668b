"""`python -m exporter`: the same as the command `ekm-exporter`."""

import sys

from exporter.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
