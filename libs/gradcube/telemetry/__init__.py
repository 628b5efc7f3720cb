"""What a training process and its machine report: `Monitor` for gradient steps, the sampler for resources.

In: a PyTorch loop, its hooks, /proc, cgroups, NVML. Out: StepSync and ResourceSample records, offered to an Emitter.
Nothing here imports torch until a Monitor is given a model.
"""
