"""Document 003: every flow is executed by a route of its own, and its executions are followed by their ids."""
