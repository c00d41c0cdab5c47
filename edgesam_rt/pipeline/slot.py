"""Moved to `edgesam_rt/slot.py`."""

from edgesam_rt.slot import Closed, Policy, Slot

__all__ = ["Closed", "Policy", "Slot"]
