"""Profiles of the property tests: enough examples to find something, in seconds, and no deadline."""

from hypothesis import HealthCheck, settings

# A busy machine is slow, and no fault of the code's: no deadline, and no complaint about slow data.
settings.register_profile(
    "suite", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")
