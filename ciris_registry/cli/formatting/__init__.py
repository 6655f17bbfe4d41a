"""Text for a terminal: durations, local times, and text from Redis made printable.

Every command that prints something read from Redis formats it here.
"""
