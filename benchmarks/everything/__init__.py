"""Everything mode measured: against the plain path, by strategy, by deadline, in memory."""
