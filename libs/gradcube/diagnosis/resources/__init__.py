"""Devices and nodes under pressure: throttling, heat, memory."""
