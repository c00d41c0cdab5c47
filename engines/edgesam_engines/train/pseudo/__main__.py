"""`python -m edgesam_engines.train.pseudo`."""

from __future__ import annotations

import sys

from edgesam_engines.train.memory import restart_keeping_memory
from edgesam_engines.train.pseudo.cli import main

if __name__ == "__main__":
    restart_keeping_memory(sys.argv[1:], "edgesam_engines.train.pseudo")
    sys.exit(main(sys.argv[1:]))
