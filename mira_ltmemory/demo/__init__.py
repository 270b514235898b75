"""The demo: a small host with the whole memory in it, from import to restart, on one screen."""
