"""Batches: captured messages in windows, each processed exactly once by the steps that are switched on."""
