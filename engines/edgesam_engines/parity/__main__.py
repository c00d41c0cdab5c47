"""`python -m edgesam_engines.parity`."""

import sys

from edgesam_engines.parity.cli import main

sys.exit(main())
