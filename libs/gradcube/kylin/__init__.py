"""Apache Kylin 3.1.3 on this machine: its program fetched, configured, started in order and kept running.

The Java side, with the mended classes, is in services/gradcube_cube/kylin. See docs/kylin.md.
"""
