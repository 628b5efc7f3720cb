"""The parameter server: one shard of a job's parameters in one process."""
