"""The one path from the state of users to their lists, whoever asks. Pure: no I/O.

    lists                           states in, lists out, with the models and the recall that the caller brings
    inputs                          the inputs of the encoder and the ranker
    candidates, terms               recall: what Elasticsearch does, in memory; preferred genres and decades
    order                           the final order, and the rank of an item
    counters, popularity            item counters as columns, and what is popular now
    fallback                        the next best answer where something is missing

All of it takes B users at once; a request is B = 1.
"""

from scoring.candidates import Candidate, Candidates, ExactRecall, Source
from scoring.counters import Counters, RecentCounters
from scoring.fallback import Fallback
from scoring.inputs import RANKER_INPUTS, Pairs, RankerInputs, Ranking, Users, UserState
from scoring.lists import Lister, Recommendations
from scoring.order import MISSED, NO_ITEM, Lists
from scoring.terms import Preferences, preferences

__all__ = [
    "MISSED",
    "NO_ITEM",
    "RANKER_INPUTS",
    "Candidate",
    "Candidates",
    "Counters",
    "ExactRecall",
    "Fallback",
    "Lister",
    "Lists",
    "Pairs",
    "Preferences",
    "RankerInputs",
    "Ranking",
    "RecentCounters",
    "Recommendations",
    "Source",
    "UserState",
    "Users",
    "preferences",
]
