"""Measurements that people can run on their own machine and data: ``mira-ltmemory bench``.

Each works in a store of its own that is gone afterwards, and prints ratios of things measured in the same run.
"""
