"""Tests of ``ciris_registry.shared_breaker``."""
