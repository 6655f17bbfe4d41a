"""Tests of choosing: candidates, picker, round robin, weighting, health checks, slots."""
