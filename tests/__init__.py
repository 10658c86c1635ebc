"""Tests of lknb. `kit/` holds what they stand on; every other folder mirrors a floor of the package."""
