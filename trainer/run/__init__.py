"""The order of work, control, transfer: the only room where stages and files meet."""
