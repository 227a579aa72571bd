"""Agents that think with a language model. pydantic-ai is imported when the first of them runs."""
