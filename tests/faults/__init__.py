"""The fault suite: every way a run can be cut off or damaged, and the bits it must end with."""
