"""Feast.

feature_rows     rows of users and items, written and read without loading Feast
feature_store    what is declared in Feast's registry, and the rows
online_rows      rows as Redis holds them
feature_server   the server
"""
