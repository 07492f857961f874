"""How long to fuzz: a short look in `make test`, as long as one likes in `make fuzz`."""

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("HOOKLINE_FUZZ_EXAMPLES", "200"))
"""Of each test. 200 take a second or two; `make fuzz` tries 50,000."""

FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
)
