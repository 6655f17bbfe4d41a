"""Tests of the room shared_breaker."""
