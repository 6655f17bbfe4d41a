"""Tests of ``ciris_registry.store.records``."""
