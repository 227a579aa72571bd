"""Agents that are services of others, reached over HTTP. aiohttp is imported when the first of them runs."""
