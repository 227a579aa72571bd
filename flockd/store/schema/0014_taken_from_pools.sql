-- What is taken from pools is named by agent and artifact: so many of them go by one statement, whatever their keys are.

CREATE INDEX pools_by_agent ON pools (agent, seq);
