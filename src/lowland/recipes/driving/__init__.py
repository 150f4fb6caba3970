"""Driving in traffic: world models from logs, policies, plans."""
