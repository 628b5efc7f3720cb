"""Apache Kylin as an engine: a guarded statement in its own words out to its REST API, an answer back."""
