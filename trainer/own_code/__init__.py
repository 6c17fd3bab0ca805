"""The user's own code: approved, loaded, checked; what a run folder brings is not executed."""
