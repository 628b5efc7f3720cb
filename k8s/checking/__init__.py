"""What `k8s/check.py` checks: manifests rendered, held against Kubernetes' schemas and against our own rules."""
