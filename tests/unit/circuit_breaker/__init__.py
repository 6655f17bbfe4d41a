"""Tests of the rules of a breaker, without I/O."""
