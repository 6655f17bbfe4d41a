"""Tests of ``ciris_registry.cache.replica``."""
