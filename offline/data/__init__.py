"""Data: the ratings, the split, and features as of the moment before each event.

tables -> engine -> readers -> split -> history -> windows, point_in_time, arrivals

tables                        a data set of any description, as typed columns
engine                        what of it the models take: ratings and catalogue
readers, download, generate   reading, downloading and generating ratings
split                         the events to train on, to test on, and to replay
term_prior                    weights of items among those of the same terms
history                       rows before each event, by the code that folds the stream
windows, point_in_time        training windows of the encoders; the whole state at chosen points in time
arrivals                      offline events that represent those to come, for drift
"""
