"""Tests of ``ciris_registry.cli``."""
