"""Kafka: a bounded emitter, a batch consumer, dead letters, topics, and a broker for this machine."""
