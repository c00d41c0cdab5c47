"""`python -m edgesam_rt` is `edgesam-run`."""

import sys

from edgesam_rt.cli.entry import main

sys.exit(main())
