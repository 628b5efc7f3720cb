"""Cube and view files in, checked models out; records as rows; a declaration's version, and the plan to deploy it."""
