"""What tests let their agent processes do: functions, each awaited there with the process's state.

A module imports nothing that takes long, such as pytest, so that a process starts fast. Arguments
and results are JSON.
"""
