"""Hosts: adapters to what an application offers. Only this room knows what a MIRA object looks like."""
