"""What the parameter servers report of themselves."""
