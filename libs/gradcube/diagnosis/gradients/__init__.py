"""Gradients: a rank whose statistics leave its peers', and updates from old parameters."""
