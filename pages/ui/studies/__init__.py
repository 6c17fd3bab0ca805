"""What the pages Train and Runs show of studies."""
