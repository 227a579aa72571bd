"""The flock of these tests for a process of its own, with nothing that is held."""

from .flocks import Gate, make_flock

gate = Gate()
gate.opened.set()
flock = make_flock(gate)
