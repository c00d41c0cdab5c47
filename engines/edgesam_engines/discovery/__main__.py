"""`python -m edgesam_engines.discovery`."""

from __future__ import annotations

import sys

from edgesam_engines.discovery.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
