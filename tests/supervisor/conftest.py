"""The boards of these tests, see tests/rig.py."""

from ..rig import rigs

__all__ = ["rigs"]
