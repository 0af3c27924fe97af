"""Feast: rows (`feature_store`), rows as Redis holds them (`online_rows`), and the server (`feature_server`)."""
