"""Laws of protocols: two numbers are comparable exactly when every choice agrees."""

from __future__ import annotations

import pytest

from evalkit.errors import NotComparable
from evalkit.protocols import differences, protocol, require_comparable


def test_the_order_of_fields_does_not_matter() -> None:
    a = protocol("fid", {"size": 256, "filter": "lanczos"})
    b = protocol("fid", {"filter": "lanczos", "size": 256})
    assert a == b
    assert a.digest == b.digest
    require_comparable(a, b)


def test_each_differing_field_is_named_with_both_values() -> None:
    a = protocol("fid", {"size": 256, "n": 10})
    b = protocol("fid", {"size": 299, "n": 10, "crop": True})
    assert differences(a, b) == {"size": (256, 299), "crop": (None, True)}
    with pytest.raises(NotComparable, match="crop: None against True; size: 256 against 299"):
        require_comparable(a, b)


def test_the_name_is_a_choice_too() -> None:
    with pytest.raises(NotComparable, match="name: 'fid' against 'kid'"):
        require_comparable(protocol("fid", {}), protocol("kid", {}))


def test_fields_are_added_and_replaced() -> None:
    base = protocol("fid", {"size": 256})
    assert base.with_fields({"size": 64, "n": 2}) == protocol("fid", {"size": 64, "n": 2})
