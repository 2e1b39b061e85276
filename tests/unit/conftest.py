"""How hard the property tests try: enough to find something, in seconds."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60)
settings.load_profile("unit")
