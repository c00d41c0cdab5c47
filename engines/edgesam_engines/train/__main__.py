"""`python -m edgesam_engines.train`."""

from __future__ import annotations

import sys

from edgesam_engines.train.cli import main
from edgesam_engines.train.memory import restart_keeping_memory

if __name__ == "__main__":
    restart_keeping_memory(sys.argv[1:])
    sys.exit(main(sys.argv[1:]))
