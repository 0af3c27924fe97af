"""Data: readers of the ratings, a generated data set, the split, and features as of the moment before each event.

readers -> split -> history -> windows, point_in_time, arrivals
"""
