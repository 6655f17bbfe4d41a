"""Tests of ``ciris_registry.store.connection.url``."""
