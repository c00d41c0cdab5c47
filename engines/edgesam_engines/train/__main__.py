"""`python -m edgesam_engines.train`."""

from __future__ import annotations

import sys

from edgesam_engines.train.cli import main
from edgesam_engines.train.memory import keep_memory

if __name__ == "__main__":
    keep_memory()
    sys.exit(main(sys.argv[1:]))
