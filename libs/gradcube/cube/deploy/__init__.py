"""From declarations to an engine: what is declared against what is deployed, as steps that can be repeated.

Each engine has a file here with its `Deployment`; `embedded` is that of the store.
"""
