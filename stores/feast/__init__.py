"""Feast: rows (`feature_store`), rows as Redis holds them (`online_rows`), the server for callers (`feature_server`)."""
