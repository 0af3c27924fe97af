"""The stores that a fold writes to: state, features, and the topics of dead letters and of the ranker's inputs.

What one record or row makes impossible is reported and left out; the others are written.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from features.catalogue import Item, User
from features.ids import Id
from features.layer import Items
from features.profile import Profile
from features.rows import Row, user_row
from features.schema import Schema
from settings import Settings
from stores import DriftTopics, Logged, NotPublished, Profiles, StateStores, StoreError
from stores.feast.feature_rows import FeatureRows
from stores.kafka.dead_letters import DeadLetters
from stores.kafka.producer import Refused
from stream.fold.inputs import Inputs
from stream.fold.shard_batch import Dead
from stream.troubles import DEAD_LETTERS, STORED_VALUES, Troubles

log = logging.getLogger("reelstream.stream")

FileDead = Callable[[Sequence[Dead]], Sequence[tuple[Logged, str, Refused]]]
"""Files dead letters; gives those that Kafka refuses for good, with the reason why they are dead and Kafka's."""

OfRow = tuple[Profile, User, Items]
"""A user whose row is written, and the catalogue as the user's shard knows it."""

DEAD_WITHIN_S = 30.0
"""Seconds that Kafka gets to take a batch's dead letters, before the batch is tried again."""


@dataclass(frozen=True)
class FoldTopics:
    """The topics that a fold writes to.

    Attributes:
        dead_letters: takes dead letters.
        inputs: the feature log; None where drift is not watched.
    """

    dead_letters: FileDead
    inputs: DriftTopics | None

    @classmethod
    def of(cls, settings: Settings) -> FoldTopics:
        """The topics; the connection is made when it is first used."""
        inputs = DriftTopics(settings.kafka) if settings.drift.enabled else None
        return cls(DeadLetters(settings.kafka, DEAD_WITHIN_S), inputs)


class FoldStores:
    """The stores that a fold writes to.

    Args:
        schema: of the data set.
        items: the published catalogue.
        profiles: the state in Redis.
        features: the feature store.
        dead_letters: the topic of dead letters.
        troubles: where failures are reported.
        inputs: the feature log; None where drift is not watched.
    """

    def __init__(
        self,
        schema: Schema,
        items: Mapping[Id, Item],
        profiles: Profiles,
        features: FeatureRows,
        dead_letters: FileDead,
        troubles: Troubles,
        inputs: Inputs | None = None,
    ) -> None:
        self.schema, self.items, self.profiles = schema, items, profiles
        self.inputs, self.troubles = inputs, troubles
        self._features, self._dead_letters = features, dead_letters

    @classmethod
    def connect(cls, settings: Settings, state: StateStores, topics: FoldTopics, troubles: Troubles) -> FoldStores:
        """Connect to the stores of a generation of the state.

        Raises:
            NotPublished: if there is no catalogue that can be read.
            OtherVersion: if the state holds other counts than are declared.
            Unreachable: if Redis does not answer.
        """
        published = state.published
        published.require_state_version()
        try:
            schema, items = published.schema(), published.catalogue()
        except StoreError:
            raise
        except Exception as error:
            raise NotPublished(
                f"the catalogue in Redis cannot be read ({error!r}); `reelstream publish` writes it again"
            ) from error
        inputs = None
        if topics.inputs is not None:
            inputs = Inputs(schema, items, published.others, settings.drift, topics.inputs, troubles)
        features = FeatureRows(settings, schema, state.generation)
        return cls(schema, items, state.profiles, features, topics.dead_letters, troubles, inputs)

    def log_dead(self, dead: Sequence[Dead]) -> None:
        """Append dead letters; returns once Kafka has them, or refuses them for good.

        Raises:
            Unreachable: if Kafka does not answer.
        """
        if not dead:
            return
        for reason, n in Counter(reason for _, reason in dead).items():
            first = next(record for record, why in dead if why == reason)
            log.warning("dead letters: %d from partition %d offset %d on: %s", n, first.partition, first.offset, reason)
        if refused := self._dead_letters(dead):
            record, reason, error = refused[0]
            self.troubles.report(
                DEAD_LETTERS,
                f"Kafka refuses {len(refused)} for good, from partition {record.partition} offset {record.offset} on "
                f"({reason}): {error}; the records stay in the log",
                len(refused),
            )

    def write_rows(self, users: Sequence[OfRow]) -> None:
        """Write the feature rows of users; a user without a profile has none.

        Raises:
            Unreachable: if Redis does not answer.
        """
        if gone := [user.userid for profile, user, _ in users if not profile.version]:
            self._features.delete_users(gone)
            if self.profiles.evicted is not None:
                self.profiles.evicted.erase(gone)
        users = [of_row for of_row in users if of_row[0].version]
        try:
            self._features.write_users([self._row(*of_row) for of_row in users])
            return
        except StoreError:
            raise
        except Exception as error:
            log.warning("the feature rows of a batch cannot be written together: %r", error)
        for of_row in users:
            try:
                self._features.write_users([self._row(*of_row)])
            except StoreError:
                raise
            except Exception as error:
                message = f"the feature row of user {of_row[1].userid} cannot be written: {error!r}"
                self.troubles.report(STORED_VALUES, message)

    def _row(self, profile: Profile, user: User, items: Items) -> tuple[Id, Row]:
        return user.userid, user_row(self.schema, profile, user, items)
