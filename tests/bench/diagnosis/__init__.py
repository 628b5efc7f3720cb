"""What diagnosis is worth: on public traces, on faults put into them by seed, beside published rules."""
