"""Readers of logs of traffic, one file a format."""
