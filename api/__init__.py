"""The API: lists, events, items, users, drift alarms, health, metrics and the web pages.

app, services, http                routes, and what they work with; bodies and errors
paths                              ids in paths
data_set                           what depends on the data set: data_set_requests, data_set_answers
answers, messages, openapi         the models of answers and requests; the OpenAPI document
recommend, session, restrictions   lists; the state of a session; `filter` and `diversity`
batches, context                   lists of several requests; events on top of a stored user
item_lists, latest_items           lists that follow from no user: similar, popular, latest
openapi_lists                      the part of the OpenAPI document on these
live, open_generation, live_ids    the live run, the state and the ids that lists are made with, kept in memory
user_vectors                       user vectors, kept in memory
items, attributes                  the items, and attributes of users, in memory
catalogue, users                   what is known of an item, and of a user
change_requests, item_changes      changes of items and users: their bodies, and their way to the log
shard_items                        items as a user's shard has them, which may be further than those in memory
events, ingest, appending          events and erasures; the partitions that they are spread over
positions, log_watch               waiting for the stream (`after`); partitions that are stopped
breakers, shedding                 circuit breakers for the stores; refusing requests under overload
front/, security/, pages/          connections; tokens and hosts; the web pages
drift, metrics                     drift alarms; Prometheus metrics
"""
