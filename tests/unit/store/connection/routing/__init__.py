"""Tests of ``ciris_registry.store.connection.routing``."""
