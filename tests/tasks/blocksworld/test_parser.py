"""Captions are read back as what they claim: every form by hand, then every caption that the generator makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evalkit_tasks.blocksworld.captions import captions
from evalkit_tasks.blocksworld.parser import Claims, Related, claims_of
from evalkit_tasks.blocksworld.scene import STRATA, Scene, Stratum, scene
from evalkit_tasks.blocksworld.words import Description, described

RED_CIRCLE = Description("circle", "red")
BLUE_STAR = Description("star", "blue")
CIRCLE, STAR, RED = Description("circle"), Description("star"), Description(colour="red")


@pytest.mark.parametrize(
    ("caption", "claims"),
    [
        ("A red circle and two blue stars.", Claims((RED_CIRCLE, BLUE_STAR, BLUE_STAR))),
        ("There are two blue stars.", Claims((BLUE_STAR, BLUE_STAR))),
        ("Just one red circle.", Claims((RED_CIRCLE,))),
        ("A single red circle on a checkered mint background.", Claims((RED_CIRCLE,), None, None, "mint", "checkered")),
        ("Three shapes: a circle and two stars.", Claims((CIRCLE, STAR, STAR), 3)),
        (
            "Three shapes, two red and one blue, on a gray gradient background.",
            Claims((RED, RED, Description(colour="blue")), 3, None, "gray", "gradient"),
        ),
        ("Four shapes, all red.", Claims((RED,) * 4, 4)),
        ("Two circles, both red, on a white background.", Claims((RED_CIRCLE,) * 2, None, None, "white")),
        ("Two circles, one blue and one red.", Claims((Description("circle", "blue"), RED_CIRCLE))),
        ("A red circle above a blue star.", Claims((RED_CIRCLE, BLUE_STAR), None, Related(0, "above", 1))),
        ("There is a red circle behind another red circle.", Claims((RED_CIRCLE,) * 2, None, Related(0, "behind", 1))),
        (
            "A red circle is to the left of a blue star, along with a star.",
            Claims((RED_CIRCLE, BLUE_STAR, STAR), None, Related(0, "left", 1)),
        ),
        (
            "A star and a red circle above a blue star.",
            Claims((STAR, RED_CIRCLE, BLUE_STAR), None, Related(1, "above", 2)),
        ),
        ("At the top right there is a red circle.", Claims((replace(RED_CIRCLE, place=(0, 2)),))),
        (
            "A medium-sized striped red circle in the middle; the background is plain white.",
            Claims((Description("circle", "red", "medium", "striped", (1, 1)),), None, None, "white", "plain"),
        ),
        (
            "The background is a lavender gradient with a small star on the left.",
            Claims((Description("star", size="small", place=(1, 0)),), None, None, "lavender", "gradient"),
        ),
        ("a RED   circle at the bottom", Claims((replace(RED_CIRCLE, place=(2, 1)),))),
        ("A red circle is at the bottom.", Claims((replace(RED_CIRCLE, place=(2, 1)),))),
        ("Red small circle", Claims((replace(RED_CIRCLE, size="small"),))),
    ],
)
def test_each_form_is_read_as_what_it_says(caption: str, claims: Claims) -> None:
    assert claims_of(caption) == replace(claims, understood=True)


@pytest.mark.parametrize(
    ("caption", "things"),
    [
        ("", ()),
        ("A zebra.", ()),
        ("A red circle and a zebra.", (RED_CIRCLE,)),
        ("A red circle above.", (RED_CIRCLE,)),
        ("Above a red circle.", (RED_CIRCLE,)),
        ("A red blue star.", (BLUE_STAR,)),
        ("A reddish circle.", (CIRCLE,)),
        ("A red circlet.", ()),
        ("A picture of.", ()),
        ("A red circle above a blue star below a circle.", (RED_CIRCLE, BLUE_STAR, CIRCLE)),
        ("Two red on a mint background.", ()),
        ("Two red circles, both blue.", (RED_CIRCLE, RED_CIRCLE)),
        ("A red circle on the left of a blue star.", (RED_CIRCLE, BLUE_STAR)),
        ("A red circle on a mint background on a white background.", (RED_CIRCLE,)),
        ("A red circle at the top at the bottom.", (replace(RED_CIRCLE, place=(0, 1)),)),
    ],
)
def test_what_is_not_understood_is_told_and_the_rest_is_claimed(caption: str, things: tuple[Description, ...]) -> None:
    found = claims_of(caption)
    assert not found.understood
    assert found.things == things


def test_the_number_is_that_of_a_bare_count_else_of_the_things() -> None:
    assert [claims_of(text).count for text in ("Three shapes: a star.", "A star and two circles.", "Two shapes.")] == [
        3,
        3,
        2,
    ]


def _only_named(claims: Claims, drawn: Scene) -> Counter[Description]:
    """The whole descriptions of the blocks, without what no thing of `claims` names."""
    names = ("shape", "colour", "size", "texture", "place")
    unnamed = {name: None for name in names if all(getattr(thing, name) is None for thing in claims.things)}
    return Counter(replace(described(block), **unnamed) for block in drawn.blocks)


@pytest.mark.parametrize("stratum", STRATA)
def test_every_caption_is_understood_and_says_what_is_true(stratum: Stratum) -> None:
    for seed in range(400):
        drawn = scene(seed, stratum)
        terse, number, place, looks, full = map(claims_of, captions(drawn, 3 * seed + 1))
        for claims in (terse, number, place, looks, full):
            assert claims.understood
            assert claims.count == len(claims.things) == len(drawn.blocks)
            assert claims.ground in {None, drawn.background.colour}
            assert claims.style in {None, drawn.background.style}
        assert Counter(full.things) == Counter(map(described, drawn.blocks))
        assert full.ground == drawn.background.colour
        assert Counter(terse.things) == Counter(Description(b.shape, b.colour) for b in drawn.blocks)
        for claims in (number, place):
            assert Counter(claims.things) == _only_named(claims, drawn)
        plain = Counter(
            replace(described(b), place=None, texture=None if b.texture == "solid" else b.texture) for b in drawn.blocks
        )
        some = Counter(replace(d, size=None if d.size == "medium" else d.size) for d in plain.elements())
        assert Counter(looks.things) in (plain, some)
        assert place.relation is None or len({place.relation.first, place.relation.second}) == 2


@settings(deadline=None)
@given(st.text() | st.lists(st.sampled_from(["a", "two", "red", "all", "shapes", "star", "above", ":"])).map(" ".join))
@example("two two two shapes shapes all red both red red background is a mint")
def test_no_text_breaks_the_parser(text: str) -> None:
    assert isinstance(claims_of(text), Claims)


def test_of_endless_captions_the_beginning_is_read() -> None:
    found = claims_of("five red stars " * 1_000_000)
    assert not found.understood
    assert len(found.things) < 1_000
