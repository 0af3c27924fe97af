"""Feast: user and item features in its online store, their rows in Redis, and the server for callers outside."""
