"""Apache Kylin beside the embedded engine: `make bench-kylin`, or `python -m tests.bench.kylin [--facts N]`."""
