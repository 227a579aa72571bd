"""The flock that `make serve` starts: it reviews Python source, analyses text, writes poems and small modules, with
no model. Where the configuration names one, `flockd.demo.flocks:thinking_flock` takes its place."""

from flockd.demo.flocks import flock

__all__ = ["flock"]
