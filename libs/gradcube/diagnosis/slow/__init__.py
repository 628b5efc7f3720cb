"""Slow-downs that last: what each rank's time is made of, what is usual, what has moved, and whom that names."""
