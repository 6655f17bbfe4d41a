"""Tests of what an outcome or an error means for its provider."""
