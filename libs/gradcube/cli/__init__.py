"""The `gradcube` command: local services, the demo, SQL, and looking around. What people touch first."""
