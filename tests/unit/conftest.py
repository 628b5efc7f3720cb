"""Fewer examples than Hypothesis draws by itself: the fast tests stay fast. GRADCUBE_TEST_EXAMPLES draws more."""

import os

from hypothesis import settings

settings.register_profile("unit", max_examples=int(os.environ.get("GRADCUBE_TEST_EXAMPLES", "40")))
settings.load_profile("unit")
