"""Why an answer is what it is, and what is in the recording that was asked about."""
