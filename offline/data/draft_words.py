"""Words by which columns, files and types of events are recognised when a description is drafted."""

from __future__ import annotations

import re
import unicodedata

from features.dataset.part import Name


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


USER = _set(
    "user users userid uid customer customers customerid client clients member members visitor visitors visitorid "
    "account shopper buyer person people reader listener viewer player subscriber patient student "
    "kunde kunden nutzer utilisateur usuario cliente"
)
ITEM = _set(
    "item items itemid iid product products productid sku asin isbn article articles movie movies film films book "
    "books song songs track tracks artist artists album albums game games video videos content contents show shows "
    "course courses recipe recipes restaurant business place job listing offer ad deal news story post app good "
    "goods produkt produkte artikel produit producto"
)
SESSION = _set("session sessions visit order basket cart invoice ip device cookie row event transaction")
"""Words of ids that are neither users nor items."""

TIME = _set("time times timestamp ts date datetime day when at created updated unixtime epoch moment zeit datum fecha")
TYPE = _set("event type action behavior behaviour activity interaction verb kind did what signal feedback")
RATING = _set("rating ratings rate stars star score grade points bewertung note vote")
TITLE = _set("title name label headline titel nom nombre")
TEXT = _set("description text summary body abstract plot overview beschreibung")
AMOUNT = _set(
    "quantity qty amount count number num n price size position page rank duration seconds minutes length total"
)
"""Words of numbers that are no ratings."""

CODE = _set("id code type class category brand group genre zip postcode")
"""Words of columns whose numbers are names, not amounts."""

PERSONAL = _set("age gender sex birth income occupation job segment email city country region signup")

EXPOSURES = _set(
    "view viewed views pv click clicked clicks impression impressions seen see visit open opened detail details browse "
    "pageview show shown look looked read play played listen listened watch watched search start started hover"
)
STRONG = _set(
    "purchase purchased buy bought order ordered transaction checkout pay paid subscribe subscribed complete completed "
    "finish finished borrow borrowed rent rented download downloaded install installed booked"
)
POSITIVE = _set(
    "cart add basket addtocart wishlist wish favorite favourite fav like liked love loved star bookmark save saved "
    "follow followed share shared upvote recommend repeat"
)
NEGATIVE = _set(
    "dislike disliked skip skipped hide hidden remove removed removefromcart return returned refund refunded unlike "
    "downvote block report ignore ignored unfollow cancel cancelled reject rejected"
)


def words(name: str) -> tuple[str, ...]:
    """The words of a name.

    >>> words("productId"), words("event_time"), words("User ID")
    (('product', 'id'), ('event', 'time'), ('user', 'id'))
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain).lower()
    return tuple(re.findall(r"[a-z]+|\d+", parts))


def names(name: str, among: frozenset[str]) -> bool:
    """Return True if a name has one of the words, or is made of some of them, as `addtocart` is."""
    parts = words(name)
    return not among.isdisjoint(parts) or "".join(parts) in among


def slug(name: str, taken: tuple[str, ...] = (), prefix: str = "of") -> Name:
    """A name for a description: lower-case letters, digits and _; not one that is taken.

    >>> slug("Product Name"), slug("1st"), slug("score", ("score",), "item")
    ('product_name', 'of_1_st', 'item_score')
    """
    plain = "_".join(words(name))[:40].strip("_") or "unnamed"
    if not plain[0].isalpha():
        plain = f"{prefix}_{plain}"
    if plain in taken:
        plain = f"{prefix}_{plain}"
    number, unique = 2, plain
    while unique in taken:
        unique, number = f"{plain}_{number}", number + 1
    return unique


def singular(name: str) -> str:
    """The name of one of several.

    >>> singular("categories"), singular("tags"), singular("glass"), singular("genre")
    ('category', 'tag', 'glass', 'genre')
    """
    if name.endswith("ies") and len(name) > 4:
        return f"{name[:-3]}y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") and len(name) > 3 else name
