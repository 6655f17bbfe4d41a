"""Tests of ``ciris_registry.cache``."""
