"""The flock that `make serve` starts: it reviews Python source, analyses text, writes poems and small modules, with
no model."""

from flockd.demo.agents import flock

__all__ = ["flock"]
