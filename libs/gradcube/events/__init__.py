"""What is said: schemas and their registry, Confluent framing, the codecs, facts. Bytes in, records out, and back."""
