"""The image tokenizer: codes are the nearest vectors, pictures come back, and what does not fit is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cm3leon.config import Config, ImageTokenizerConfig, TransformerConfig, config_json, config_of
from cm3leon.image_tokenizer import Codebook, ImageTokenizer

LEARNT = ImageTokenizerConfig(
    pixels=16, codes=32, code_channels=4, channels=32, multipliers=(1, 2), blocks=1, latent_channels=8
)
LATTICE = replace(LEARNT, codes=24, code_channels=3, levels=(2, 3, 4))
LOCAL = replace(LATTICE, pixels=64, patch=4, multipliers=(1,), local=True)
PARTED = replace(LOCAL, channels=64, palette=1)


def built(config: ImageTokenizerConfig) -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(config).eval()


@pytest.mark.parametrize("config", [LEARNT, LATTICE])
def test_a_latent_is_given_the_nearest_code(config: ImageTokenizerConfig) -> None:
    book = Codebook(config)
    torch.nn.init.normal_(book.embedding.weight) if not config.levels else None
    latents = torch.randn(3, config.code_channels, 4, 4, generator=torch.Generator().manual_seed(1))
    rows = latents.permute(0, 2, 3, 1).reshape(-1, config.code_channels)
    brute = torch.stack([(book.embedding.weight - row).square().sum(1).argmin() for row in rows])
    assert torch.equal(book.nearest(latents).reshape(-1), brute)


@pytest.mark.parametrize("config", [LEARNT, LATTICE])
def test_the_vector_of_a_code_has_that_code(config: ImageTokenizerConfig) -> None:
    book = Codebook(config)
    vectors = book.embedding.weight.detach().T[None, :, None]
    assert book.nearest(vectors).tolist() == [list(range(config.codes))]


def test_every_code_of_a_lattice_can_be_reached() -> None:
    book = Codebook(LATTICE)
    far = 50 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    near = 0.3 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    found = torch.cat([book.nearest(book.bounded(latents)).flatten() for latents in (far, near, 0 * near)])
    assert set(found.tolist()) >= {code for code in range(24) if code // 4 % 3 != 1} and int(found.max()) < 24


def test_the_lattice_is_symmetric_and_spans_minus_one_to_one() -> None:
    weight = Codebook(LATTICE).embedding.weight
    assert weight.amin().item() == -1 and weight.amax().item() == 1
    assert torch.allclose(weight.mean(0), torch.zeros(3), atol=1e-6)
    assert len({tuple(row) for row in weight.tolist()}) == 24


def test_levels_that_do_not_make_the_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="24"):
        Codebook(replace(LATTICE, levels=(2, 3, 3)))


@pytest.mark.parametrize("patch", [1, 2])
def test_a_picture_becomes_a_grid_of_codes_and_a_picture_again(patch: int) -> None:
    config = replace(LATTICE, patch=patch)
    tokenizer = built(config)
    pictures = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        codes = tokenizer.encode(pictures)
        again = tokenizer.decode(codes)
    assert codes.shape == (2, config.grid**2) and config.grid == 16 // (2 * patch)
    assert again.shape == pictures.shape and float(again.abs().max()) <= 1


def test_a_code_speaks_of_its_own_row_and_column() -> None:
    """A patch of the decoded picture changes most where its code was changed."""
    tokenizer = built(replace(LATTICE, pixels=32))
    codes = torch.zeros(1, 256, dtype=torch.long)
    changed = codes.clone()
    changed[0, 16 * 2 + 13] = 23
    with torch.no_grad():
        moved = (tokenizer.decode(changed) - tokenizer.decode(codes)).abs().sum(1)[0]
    place = int(moved.argmax())
    assert abs(place // 32 - 5) <= 3 and abs(place % 32 - 27) <= 3


@pytest.mark.parametrize(("config", "reach"), [(LOCAL, 0), (LOCAL, 1), (PARTED, 0)])
def test_a_local_code_depends_on_the_squares_within_its_reach_alone(config: ImageTokenizerConfig, reach: int) -> None:
    tokenizer = built(replace(config, reach=reach))
    pictures = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(4)) * 2 - 1
    changed = pictures.clone()
    changed[:, :, 8:12, 20:24] = 1 - changed[:, :, 8:12, 20:24]
    with torch.no_grad():
        moved = (tokenizer.latents(changed) - tokenizer.latents(pictures)).abs().sum(1)[0]
    near = range(-reach, reach + 1)
    assert [place.tolist() for place in moved.nonzero()] == [[2 + down, 5 + right] for down in near for right in near]


@pytest.mark.parametrize("config", [LOCAL, PARTED])
def test_squares_that_are_alike_have_the_same_local_code(config: ImageTokenizerConfig) -> None:
    tokenizer = built(config)
    square = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 2 - 1
    with torch.no_grad():
        latents = tokenizer.latents(square.repeat(1, 1, 16, 16))
    assert torch.equal(latents, latents[:, :, :1, :1].expand_as(latents))


def test_a_palette_tells_which_colours_a_square_has_and_not_where() -> None:
    tokenizer = built(PARTED)
    generator = torch.Generator().manual_seed(6)
    colours = torch.rand(2, 3, 1, 1, generator=generator) * 2 - 1
    share = torch.rand(1, 1, 64, 64, generator=generator)
    share[:, :, ::4, ::4], share[:, :, 1::4, ::4] = 0, 1  # each square has either colour, and mixtures
    pictures = (1 - share) * colours[:1] + share * colours[1:]
    other = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    with torch.no_grad():
        told, changed = tokenizer.latents(pictures)[:, 0], tokenizer.latents(other)[:, 0]
    assert torch.allclose(told, told[:, :1, :1].expand_as(told), atol=1e-5)
    assert len(set(changed.flatten().tolist())) == changed.numel()


def test_a_geometry_tells_where_and_not_which_colours() -> None:
    tokenizer = built(PARTED)
    red, blue = (torch.tensor(rgb)[:, None, None] / 127.5 - 1 for rgb in ((220, 40, 40), (45, 85, 220)))
    objects = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(7)) < 0.4
    with torch.no_grad():
        of_red, of_blue, of_none = (
            tokenizer.latents(torch.where(objects, colour, 0.9)) for colour in (red, blue, torch.full_like(red, 0.9))
        )
    assert torch.allclose(of_red[:, 1:], of_blue[:, 1:], atol=1e-4)
    assert not torch.allclose(of_red[:, :1], of_blue[:, :1], atol=1e-2)
    assert not torch.allclose(of_red[:, 1:], of_none[:, 1:], atol=1e-2)


def test_a_local_decoder_sees_the_squares_around_and_none_far_off() -> None:
    tokenizer = built(LOCAL)
    codes = torch.zeros(1, 256, dtype=torch.long)
    changed = codes.clone()
    changed[0, 0] = 23
    with torch.no_grad():
        moved = (tokenizer.decode(changed) - tokenizer.decode(codes)).abs().sum(1)[0]
    assert moved[4:8, 4:8].amax() > 0 and moved[44:, :].amax() == 0 and moved[:, 44:].amax() == 0


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (replace(LOCAL, multipliers=(1, 2)), "one level"),
        (replace(LATTICE, reach=1), "not local"),
        (replace(LOCAL, reach=-1), "between 0 and 8"),
        (replace(LATTICE, palette=1), "only local codes"),
        (replace(PARTED, reach=1), "only local codes"),
        (replace(PARTED, palette=3), "between 0 and 2"),
    ],
)
def test_a_shape_that_no_local_tokenizer_has_is_refused(image: ImageTokenizerConfig, words: str) -> None:
    transformer = TransformerConfig(vocabulary=8, width=8, layers=1, heads=1, hidden=8, context=8)
    with pytest.raises(ValueError, match=words):
        config_of(config_json(Config("none", image, transformer)))


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 1, 16, 16), (3, 16, 16)])
def test_pictures_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        built(LATTICE).encode(torch.zeros(shape))


@pytest.mark.parametrize(
    "codes", [torch.zeros(1, 63, dtype=torch.long), torch.full((1, 64), 24), torch.full((1, 64), -1)]
)
def test_codes_that_make_no_picture_are_refused(codes: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"codes do not make|outside"):
        built(LATTICE).decode(codes)
