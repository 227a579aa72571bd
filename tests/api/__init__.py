"""The HTTP surface, over the whole application with a real board in a temporary folder."""
