"""The loss of a job: spikes, divergence, plateaus, and losses that are no numbers."""
