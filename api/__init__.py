"""The API: lists, ratings, users, drift alarms, health, metrics and the web pages.

app, services, http, users         routes, and what they work with; bodies and errors; what is known of a user
answers, messages, openapi         the models of answers and requests; the OpenAPI document
recommend, live, items, attributes lists; the live run and item features they are made with, kept in memory
ingest, appending                  ratings and erasures; the partitions that they are spread over
positions, log_watch               waiting for the stream (`after`); partitions that are stopped
breakers, shedding                 circuit breakers for the stores; refusing requests under overload
front/, security/, pages/          connections; tokens and hosts; the web pages
drift, metrics                     drift alarms; Prometheus metrics
"""
