"""Who may ask, what they see of a cube, how much of it at once, and the record of everything that they asked."""
