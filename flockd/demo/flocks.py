"""The demo as it is served: with the agents that write code by rule, or with those that have a model write it."""

from flockd import Flock
from flockd.demo.agents import agents
from flockd.demo.offline import offline
from flockd.demo.thinking import thinking

flock = Flock(name="demo")
flock.include(agents)
flock.include(offline)

thinking_flock = Flock(name="demo")
thinking_flock.include(agents)
thinking_flock.include(thinking)
