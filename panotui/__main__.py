"""`python -m panotui`: the command line, and the collector that it starts for itself."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from panotui.cli import main

    sys.exit(main())
