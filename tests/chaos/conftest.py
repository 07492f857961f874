"""A seed for each test, which every failure prints."""

import os
import random

import pytest


@pytest.fixture
def seed() -> int:
    """Drawn anew for each run; pytest shows it with a failure, and HOOKLINE_TEST_SEED runs the same again."""
    seed = int(os.environ.get("HOOKLINE_TEST_SEED") or random.randrange(2**31))
    print("seed", seed)
    return seed
