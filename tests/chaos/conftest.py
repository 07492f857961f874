"""A seed for each test, which every failure prints."""

import random

import pytest


@pytest.fixture
def seed() -> int:
    """Drawn anew for each run; pytest shows it with a failure. To run the same again, return that one here."""
    seed = random.randrange(2**31)
    print("seed", seed)
    return seed
