"""The flock that `make serve` starts: it reviews Python source and analyses text, with no model."""

from flockd.demo.agents import flock

__all__ = ["flock"]
