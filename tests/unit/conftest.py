"""Fewer examples than Hypothesis draws by itself: the fast tests stay fast. GRADCUBE_TEST_EXAMPLES draws more.

For the same reason no test here imports torch, which costs each test process ten seconds: those are integration tests.
"""

import os

# One thread each in numpy and what it calls, set before it is loaded: the cores are the test processes' already.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

settings.register_profile("unit", max_examples=int(os.environ.get("GRADCUBE_TEST_EXAMPLES", "40")))
settings.load_profile("unit")
