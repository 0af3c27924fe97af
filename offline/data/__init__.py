"""Data: the events, the split, and features as of the moment before each event.

tables -> learning, from_tables -> readers -> split -> history -> windows, point_in_time, arrivals

tables                         a data set of any description, as typed columns
learning                       the schema: the description, with what it leaves to the data
from_tables                    events and catalogue as the models take them
item_file                      a file of items that come, or change, while the system serves
readers                        the data set of the settings, from its files or from the archive
download, generate             MovieLens-1M, and data in its layout
generate_shop, shop_catalogue  data of a shop
draft                          the draft of a description from a folder of files: `reelstream init`
draft_files, draft_columns     its tables, and their columns
draft_roles                    the tables of events, items and users
draft_attributes               attributes of items and users
draft_feedback                 types of events
draft_words, draft_text        words that are recognised; TOML with comments
discoveries                    the events that lists are to foretell
split                          the events to train on, to test on, and to replay
term_prior                     weights of items among those of the same terms
history                        rows before each event, by the code that folds the stream
windows, point_in_time         training windows of the encoders; the whole state at chosen points in time
arrivals                       offline events that represent those to come, for drift
"""
