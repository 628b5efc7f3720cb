"""Fewer examples than Hypothesis draws by itself: the fast tests stay fast. GRADCUBE_TEST_EXAMPLES draws more."""

import os

# One thread each in numpy and torch, set before either is loaded: the cores are the test processes' already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("unit", max_examples=int(os.environ.get("GRADCUBE_TEST_EXAMPLES", "40")))
settings.load_profile("unit")
