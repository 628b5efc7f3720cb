"""The coordinator: who trains, who holds which shard, and what happened, over HTTP and the lifecycle topic."""
