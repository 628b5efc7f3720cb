"""Where a user's statement runs: a pool of confined child processes, each a DuckDB that only reads the store's files.

A `Request` comes in (one guarded SELECT and the trusted views it may read), a `Result` in Arrow goes out.
"""
