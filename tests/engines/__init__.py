"""Engines that reach beyond the daemon: language models, their tools, and services over HTTP."""
