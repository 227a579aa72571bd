"""Engines: how an agent thinks. Everything else about an agent is the same whatever its engine is."""
