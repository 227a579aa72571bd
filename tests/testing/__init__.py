"""What `flockd.testing` gives authors."""
