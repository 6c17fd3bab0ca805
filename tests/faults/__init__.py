"""The fault suite: every way a run can be cut off or damaged, and the bits that it must end with."""
