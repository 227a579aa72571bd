"""The flocks of flows and workflows for a process of its own, with nothing that is held."""

from . import flow_flock, workflow_flock

gate, stage = flow_flock.Gate(), workflow_flock.Stage()
gate.opened.set()
stage.open()
flock = flow_flock.make_flock(gate)
flock.include(workflow_flock.make_flock(stage))
