"""Automations: the table of jobs, when each is due, and how one is run.

Nothing here knows MIRA's engine: `mira_ltmemory.hosts` arms it with what this room computes.
"""
