"""The transformer: causal, the same with every kernel, and made of the parts that its config names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cm3leon.config import TransformerConfig
from cm3leon.transformer import Norm, Places, Transformer, rotary

CM3LEON = TransformerConfig(
    vocabulary=50, width=32, layers=3, heads=4, hidden=64, context=40, tied=True, segments=5, image_cells=9
)
PLAIN = replace(CM3LEON, segments=0, image_cells=0, tied=False)
CHAMELEON = TransformerConfig(
    vocabulary=50, width=32, layers=3, heads=4, kv_heads=2, hidden=64, context=40, norm="rms-norm", position="rotary",
    mlp="swiglu", qk_norm=True,
)  # fmt: skip
TURNED = replace(CM3LEON, position="rotary")
AXIAL = replace(TURNED, axial=True)
EVERY = [CM3LEON, PLAIN, TURNED, AXIAL, CHAMELEON, replace(CHAMELEON, swin_norm=True, kv_heads=None)]


def built(config: TransformerConfig) -> Transformer:
    model = Transformer(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.2, generator=generator)
    return model.eval()


def row(batch: int = 2, length: int = 12) -> tuple[Tensor, Places]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 50, (batch, length), generator=generator)
    index = torch.arange(length).expand(batch, length)
    return ids, Places(index, index % 5, index // 4 % 5, index % 10)


@pytest.mark.parametrize("config", EVERY)
def test_no_logit_depends_on_what_follows(config: TransformerConfig) -> None:
    model, (ids, places) = built(config), row()
    changed = ids.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % 50
    with torch.no_grad():
        before, after = model(ids, places), model(changed, places)
    assert torch.allclose(before[:, :8], after[:, :8], atol=1e-5)
    assert not torch.allclose(before[:, 8:], after[:, 8:], atol=1e-2)


@pytest.mark.parametrize("config", EVERY)
def test_training_and_inference_kernels_agree(config: TransformerConfig) -> None:
    model, (ids, places) = built(config), row()
    with torch.no_grad():
        inference = model(ids, places)
    assert torch.allclose(model(ids, places), inference, atol=1e-4)


@pytest.mark.parametrize("config", EVERY)
def test_a_cache_answers_as_the_whole_does(config: TransformerConfig) -> None:
    model, (ids, places) = built(config), row()
    caches, bias = model.caches(2, 16), torch.zeros(1, 1, 1, 16)
    with torch.no_grad():
        whole = model(ids, places)
        for step in range(ids.shape[1]):
            here = Places(
                *(part[:, step : step + 1] for part in (places.index, places.offset, places.segment, places.cell))
            )
            mask = bias.masked_fill(torch.arange(16) > step, -torch.inf)
            hidden = model.hidden(ids[:, step : step + 1], here, mask, caches, torch.tensor([step]))
            assert torch.allclose(F.linear(hidden, model.head)[:, 0], whole[:, step], atol=1e-4)


def test_each_kind_of_place_counts() -> None:
    model, (ids, places) = built(CM3LEON), row()
    with torch.no_grad():
        plain = model(ids, places)
        for name in ("offset", "segment", "cell"):
            changed = replace(places, **{name: torch.zeros_like(places.index)})
            assert not torch.allclose(model(ids, changed), plain, atol=1e-2), name
        assert torch.equal(model(ids, replace(places, index=places.index * 0)), plain)


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    model = built(CHAMELEON)
    q, k = torch.randn(2, 1, 1, 1, 8)

    def score(at: int, other: int) -> float:
        turns = [model._angles(torch.tensor([[place]]), torch.float32) for place in (at, other)]
        return float((rotary(q, *turns[0]) * rotary(k, *turns[1])).sum())

    assert score(7, 3) == pytest.approx(score(29, 25), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(7, 4), abs=1e-3)


def test_channels_that_are_not_turned_meet_alike_at_any_distance() -> None:
    model = built(replace(CHAMELEON, partial_rotary_factor=0.5))
    channels = torch.arange(8)
    for channel in range(4):
        pair = ((channels == channel) | (channels == channel + 4)).float()[None, None, None]
        at, by = (rotary(pair, *model._angles(torch.tensor([[place]]), torch.float32)) for place in (5, 9))
        assert torch.equal(at, by) == (channel >= 2) and torch.equal(at, pair) == (channel >= 2)


def test_a_turn_in_a_picture_is_by_the_cell_and_in_words_from_the_last_mark() -> None:
    model = built(TURNED)
    ids, places = row()
    with torch.no_grad():
        for embedding in (model.embed_segments, model.embed_cells):
            assert embedding is not None
            embedding.weight.zero_()  # what is left of a place is the turn
        plain = model(ids, places)
        later = model(ids, replace(places, index=places.index + 20))
        along = model(ids, replace(places, offset=places.offset + 7))
        apart = model(ids, replace(places, cell=places.cell // 2))
    assert torch.equal(plain, later)
    assert torch.allclose(plain, along, atol=1e-4) and not torch.allclose(plain, apart, atol=1e-2)


def test_norms_are_what_their_names_say() -> None:
    x = torch.randn(3, 32) * 4 + 1
    layer = Norm(CM3LEON)(x)
    assert torch.allclose(layer.mean(-1), torch.zeros(3), atol=1e-5)
    assert torch.allclose(layer.std(-1, correction=0), torch.ones(3), atol=1e-3)
    root = Norm(CHAMELEON)
    with torch.no_grad():
        root.weight.mul_(2) if root.weight is not None else None
    assert torch.allclose(root(x).square().mean(-1), torch.full((3,), 4.0), atol=1e-2)
    assert not list(Norm(CM3LEON).parameters())


def test_an_initialised_model_starts_as_its_embedding_alone() -> None:
    """The outputs of every residual branch start at 0 (CM3leon, section 2.3), so no layer does anything yet."""
    model = Transformer(CM3LEON)
    model.initialise(torch.Generator().manual_seed(0))
    ids, places = row()
    with torch.no_grad():
        x = model.embed_tokens(ids) + model.embed_positions.weight[places.offset]  # type: ignore[union-attr]
        x = x + model.embed_segments.weight[places.segment] + model.embed_cells.weight[places.cell]  # type: ignore[union-attr]
        assert torch.allclose(model.hidden(ids, places), F.layer_norm(x, (32,)), atol=1e-3)
    weights = model.embed_tokens.weight
    assert float(weights.detach().abs().max()) <= 3 * 0.006 and 0.004 < float(weights.detach().std()) < 0.007


def test_cm3leon_has_no_bias_and_no_weights_in_its_norms() -> None:
    assert all(weight.ndim == 2 for weight in Transformer(CM3LEON).parameters())


def test_equal_seeds_draw_equal_weights() -> None:
    models = [Transformer(CM3LEON) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        model.initialise(torch.Generator().manual_seed(seed))
    states = [torch.cat([weight.detach().flatten() for weight in model.parameters()]) for model in models]
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_half_of_the_channels_turn_by_the_row_and_half_by_the_column() -> None:
    model = built(AXIAL)  # pictures of 3 x 3 cells, heads of 4 pairs of channels

    def turn(cell: int, offset: int = 0) -> Tensor:
        zero = torch.zeros(1, 1, dtype=torch.long)
        cos, sin = model._turn(Places(zero, zero + offset, zero, zero + cell), torch.float32)
        return torch.stack((cos, sin)).flatten(1)  # (2, N)

    by_row = torch.arange(4).repeat(2) % 2 == 0
    first, right, below = turn(1), turn(2), turn(4)
    assert torch.equal((first == right).all(0), by_row) and torch.equal((first == below).all(0), ~by_row)
    assert torch.equal(turn(5)[:, by_row], below[:, by_row]) and torch.equal(turn(5)[:, ~by_row], right[:, ~by_row])
    # words turn all channels by what they are behind the last mark
    assert torch.equal(turn(0, offset=2), torch.where(by_row, turn(4), turn(2)))
