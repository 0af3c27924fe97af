"""The part of the API that depends on the data set."""

from __future__ import annotations

from api.attributes import Attributes
from api.change_requests import ChangeRequests
from api.data_set_answers import DataSetAnswers
from api.data_set_requests import DataSetRequests
from api.messages import RequestError
from features import EventError, Id, IdKind, Schema


class DataSetApi:
    """The bodies of a data set, and its users' attributes in memory.

    Args:
        schema: of the data set.

    Attributes:
        schema: the same.
        requests, answers: the bodies of requests and answers.
        changes: the bodies of requests that change items and users.
        attributes: of users, for when the feature store is away.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.requests = DataSetRequests(schema)
        self.changes = ChangeRequests(schema)
        self.answers = DataSetAnswers(schema)
        self.attributes = Attributes(schema)

    def userid(self, text: str) -> Id:
        """The userid in a path.

        Raises:
            RequestError: if it is none.
        """
        return _id(self.schema.user_ids, text, "userid")

    def itemid(self, text: str) -> Id:
        """The itemid in a path.

        Raises:
            RequestError: if it is none.
        """
        return _id(self.schema.item_ids, text, "itemid")


def _id(kind: IdKind, text: str, name: str) -> Id:
    try:
        return kind.parse(text, name)
    except EventError:
        raise RequestError(f"{name}: must be {kind.rule}") from None
