"""The engine factory: checkpoints to bundles. Needs torch; never runs on a board's hot path."""
