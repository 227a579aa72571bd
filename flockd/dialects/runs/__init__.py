"""The runs dialect: run one agent, the workflow that it starts, or a batch of either, and poll for the result.

A run's and a batch's id is the id of the correlation that it started; nothing is kept here.
"""

from __future__ import annotations

RUNS = "runs"
"""The dialect of a run's correlation, also of a batch's items; that of a batch is `BATCHES` of the domain."""
