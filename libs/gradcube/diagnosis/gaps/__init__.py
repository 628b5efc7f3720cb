"""Records that do not come: gaps in the monitoring itself."""
