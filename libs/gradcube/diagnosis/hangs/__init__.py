"""Jobs that stand still, and who is missing."""
