"""The server's time for breaker scripts, beside those of a commit before they were made faster."""
