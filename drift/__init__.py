"""Drift: the distance of live features, labels and scores from those at training. Pure: no I/O.

monitor                                the state machine: events in; windows, alarms and figures out
series, histogram, layout, reference   what is monitored, its bins, and its distribution at training
strides, checks, divergence            sliding windows, the check of all series, and PSI
budget, thresholds                     the budget of false alarms, and the thresholds that follow from it
change                                 detectors of change, event by event (ADWIN, KSWIN)
alarms, alarm_rules, acknowledged      opening and closing alarms; when a note no longer holds
quality, classification_metrics        prequential quality of the ranker
events, records, series_records        the input of the monitor; its output, as stored and shown
"""

from drift.histogram import Histogram
from drift.reference import Reference, ReferenceError
from drift.series import Series

__all__ = ["Histogram", "Reference", "ReferenceError", "Series"]
