"""The tests of flockd, one folder for each way to look at it.

A package, so that a daemon under test can import its flock from here.
"""
