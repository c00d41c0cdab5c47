"""Following objects that were prompted once; docs/tracking.md tells how."""
