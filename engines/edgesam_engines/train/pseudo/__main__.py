"""`python -m edgesam_engines.train.pseudo`."""

from __future__ import annotations

import sys

from edgesam_engines.train.memory import keep_memory
from edgesam_engines.train.pseudo.cli import main

if __name__ == "__main__":
    keep_memory()
    sys.exit(main(sys.argv[1:]))
