"""Parameter exchange: trainers push gradients of a version to shards and get the next version's parameters.

Frames, transport, optimizers, the shard, its server and checkpoints, the trainer's client, and the typed
client of the coordinator. numpy only; torch is imported by `torch_adapter` alone.
"""
