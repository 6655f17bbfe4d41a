"""Tests of guarded calls."""
