"""The one path from the state of users to their lists, whoever asks. Pure: no I/O.

    lists                           states in, lists out, with the models and the recall that the caller brings
    inputs                          the inputs of the encoder and the ranker
    run_ids                         the ids of a run, and their numbers inside its models
    metadata                        vectors of items that came after the training of a run
    candidates, terms               recall: what Elasticsearch does, in memory; preferred values of the items' terms
    restriction, diversity          what a list must keep to: conditions, and at most so many items of a value
    exploration, explored           which positions of a list go to items with few events; such lists
    order                           the final order, and the rank of an item
    counters, popularity            item counters as columns, and what is popular now
    fallback                        the next best answer where something is missing

All of it takes B users at once; a request is B = 1.
"""

from scoring.candidates import Candidate, Candidates, ExactRecall, Source
from scoring.counters import Counters, RecentCounters
from scoring.exploration import Exploration
from scoring.fallback import Fallback
from scoring.inputs import RANKER_INPUTS, Pairs, RankerInputs, Ranking, Users, UserState
from scoring.lists import Lister, Recommendations
from scoring.order import MISSED, NO_ITEM, Lists
from scoring.restriction import Restriction, RestrictionError
from scoring.run_ids import RunIds
from scoring.terms import Preferences, preferences

__all__ = [
    "MISSED",
    "NO_ITEM",
    "RANKER_INPUTS",
    "Candidate",
    "Candidates",
    "Counters",
    "ExactRecall",
    "Exploration",
    "Fallback",
    "Lister",
    "Lists",
    "Pairs",
    "Preferences",
    "RankerInputs",
    "Ranking",
    "RecentCounters",
    "Recommendations",
    "Restriction",
    "RestrictionError",
    "RunIds",
    "Source",
    "UserState",
    "Users",
    "preferences",
]
