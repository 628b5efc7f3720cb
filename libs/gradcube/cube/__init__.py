"""The cube of training facts: its declared model, the embedded engine, the SQL guard and the Kylin dialect.

Facts come in as Kafka records (`ingest`), answers go out as Kylin's typed cells (`answers`).
"""
