"""Laws of checkpoints: what was written is read back, and whatever does not fit is named, never run, never guessed."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cm3leon.checkpoints import (
    CheckpointError,
    digest,
    files_of,
    load,
    load_tensors,
    save,
    save_tensors,
)
from cm3leon.config import (
    BLOCKSWORLD_IMAGE,
    CONFIGS,
    Config,
    ImageTokenizerConfig,
    TransformerConfig,
    config_json,
    config_of,
)
from cm3leon.image_tokenizer import ImageTokenizer
from cm3leon.tensor_files import stored
from cm3leon.transformer import Transformer
from cm3leon.vocab import trained_vocabulary

VOCABULARY = trained_vocabulary(["a red star on a blue square"], 280, codes=16, sentinels=3)
CONFIG = Config(
    "small",
    ImageTokenizerConfig(8, codes=16, code_channels=4, channels=32, multipliers=(1, 1), blocks=1, latent_channels=8),
    TransformerConfig(
        VOCABULARY.size, width=32, layers=2, heads=2, hidden=64, context=32, tied=True, segments=3, image_cells=16
    ),
    source="tests",
)


def model() -> tuple[ImageTokenizer, Transformer]:
    torch.manual_seed(0)
    image_tokenizer, transformer = ImageTokenizer(CONFIG.image), Transformer(CONFIG.transformer)
    transformer.initialise(torch.Generator().manual_seed(0), 0.02)
    return image_tokenizer, transformer


def written(folder: Path, dtype: torch.dtype = torch.float16) -> Path:
    save(folder, CONFIG, VOCABULARY, *model(), dtype)
    return folder


def same(ours: nn.Module, theirs: nn.Module, dtype: torch.dtype) -> bool:
    a, b = ours.state_dict(), theirs.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name].to(dtype).to(a[name].dtype)) for name in a)


# ----------------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("kept", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("asked", [torch.bfloat16, torch.float32])
def test_weights_come_back_as_they_were_stored(tmp_path: Path, kept: torch.dtype, asked: torch.dtype) -> None:
    image_tokenizer, transformer = model()
    found = load(written(tmp_path, kept), asked)
    assert found.config == CONFIG
    assert found.vocabulary.json == VOCABULARY.json
    assert {weight.dtype for weight in found.transformer.parameters()} == {asked}
    assert {weight.dtype for weight in found.image_tokenizer.parameters()} == {torch.float32}
    assert same(found.image_tokenizer, image_tokenizer, kept)
    assert all(
        torch.equal(mine, theirs.to(kept).to(asked))
        for mine, theirs in zip(found.transformer.parameters(), transformer.parameters(), strict=True)
    )
    assert not any(module.training for module in (found.image_tokenizer, found.transformer))
    assert all(weight.requires_grad for weight in found.transformer.parameters())


def test_loaded_weights_do_not_live_in_the_file(tmp_path: Path) -> None:
    before = load(written(tmp_path, torch.float32))
    kept = {name: weight.clone() for name, weight in before.transformer.state_dict().items()}
    path = tmp_path / "transformer.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    assert all(torch.equal(weight, kept[name]) for name, weight in before.transformer.state_dict().items())


def test_saving_leaves_nothing_but_the_four_files(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files_of(tmp_path)}


def test_file_is_put_in_the_place_of_the_old_one_never_written_over_it(tmp_path: Path) -> None:
    path, old = tmp_path / "x.safetensors", tmp_path / "old"
    save_tensors(path, nn.Linear(2, 2))
    old.hardlink_to(path)
    content = old.read_bytes()
    save_tensors(path, nn.Linear(2, 2))
    assert old.read_bytes() == content != path.read_bytes()


def test_file_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.mkdir()
    with pytest.raises(OSError, match=r"x\.safetensors"):
        save_tensors(path, nn.Linear(2, 2))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", [*CONFIGS])
def test_every_named_config_is_read_back_as_written(name: str) -> None:
    assert config_of(json.loads(json.dumps(config_json(CONFIGS[name])))) == CONFIGS[name]
    assert CONFIGS[name].name == name


def test_named_sizes_are_those_of_the_papers() -> None:
    parameters = {}
    for name, config in CONFIGS.items():
        with torch.device("meta"):
            weights = Transformer(config.transformer).parameters()
        parameters[name] = round(sum(weight.numel() for weight in weights) / 1e9, 2)
        assert config.image.grid**2 == 1024, name
        assert config.image.codes == 8192, name
    assert parameters == {
        "350m": 0.37,
        "760m": 0.79,
        "7b": 6.73,
        "chameleon-7b": 7.01,
        "chameleon-30b": 34.29,
        "anole-7b": 7.01,
    }


# -------------------------------------------------------------------------------------------------------------- config


def drop(config: dict[str, object], path: str) -> None:
    *heads, last = path.split(".")
    for head in heads:
        config = config[head]  # type: ignore[assignment]
    del config[last]


def put(config: dict[str, object], path: str, value: object) -> None:
    *heads, last = path.split(".")
    for head in heads:
        config = config[head]  # type: ignore[assignment]
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("transformer.depth", 3, "unknown transformer.depth"),
        ("image", None, "image is None, not an object"),
        ("transformer.width", 32.0, "transformer.width is 32.0, not of type int"),
        ("transformer.layers", True, "transformer.layers is True"),
        ("transformer.layers", 10**12, "transformer.layers is 1000000000000"),
        ("transformer.heads", 0, "transformer.heads is 0"),
        ("transformer.heads", 3, "transformer.width is 32, which transformer.heads 3"),
        ("transformer.kv_heads", "2", "transformer.kv_heads is '2'"),
        ("transformer.norm", "batch-norm", "transformer.norm is 'batch-norm', not one of 'layer-norm', 'rms-norm'"),
        ("transformer.tied", 1, "transformer.tied is 1, not of type bool"),
        ("transformer.norm_eps", float("nan"), "transformer.norm_eps is nan"),
        ("transformer.norm_eps", 0, "transformer.norm_eps"),
        ("image.multipliers", 2, "image.multipliers is 2, not a list"),
        ("image.multipliers", [1, "1"], r"image.multipliers\[1\] is '1'"),
        ("image.multipliers", [], "image.multipliers is 0"),
        ("image.pixels", 9, "image.pixels is 9"),
        ("image.channels", 48, "image.channels is 48"),
        ("image.levels", [4, 4], "image.levels is"),
        ("name", 7, "name is 7"),
    ],
)
def test_wrong_config_names_the_field(path: str, value: object, said: str) -> None:
    config = json.loads(json.dumps(config_json(CONFIG)))
    put(config, path, value)
    with pytest.raises(ValueError, match=said):
        config_of(config)


def test_rows_and_columns_take_a_square_picture() -> None:
    for cells, allowed in ((16, True), (12, False), (0, False)):
        config = replace(CONFIG, transformer=replace(CONFIG.transformer, image_cells=cells, axial=True))
        if allowed:
            assert config_of(config_json(config)) == config
            continue
        with pytest.raises(ValueError, match=f"{cells} transformer.image_cells make no square picture"):
            config_of(config_json(config))


def test_wrong_config_names_the_file_and_the_field(tmp_path: Path) -> None:
    config = json.loads((written(tmp_path) / "config.json").read_text())
    put(config, "transformer.depth", 3)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json is not a config: .*unknown transformer\.depth"):
        load(tmp_path)


@pytest.mark.parametrize("path", ["name", "image", "transformer.width", "image.codes"])
def test_field_without_a_default_must_be_there(path: str) -> None:
    config = config_json(CONFIG)
    drop(config, path)
    with pytest.raises(ValueError, match=rf"missing {path}"):
        config_of(config)


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
PATHS = [f"{part}.{name}" for part in ("image", "transformer") for name in config_json(CONFIG)[part]]  # type: ignore[attr-defined]


@settings(deadline=None)
@given(st.sampled_from(PATHS), Json)
def test_any_value_of_a_field_is_taken_or_named(path: str, value: object) -> None:
    config = json.loads(json.dumps(config_json(CONFIG)))
    put(config, path, value)
    try:
        found = config_of(config)
    except ValueError as error:
        assert path.split(".", maxsplit=1)[0] in str(error)
        return
    assert config_of(json.loads(json.dumps(config_json(found)))) == found


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_named(tmp_path: Path, content: bytes) -> None:
    (written(tmp_path) / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load(tmp_path)


def test_config_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "tokenizer.json").write_text(trained_vocabulary(["a red star"], 270, codes=16, sentinels=3).json)
    with pytest.raises(CheckpointError, match=rf"tokenizer\.json: .*transformer\.vocabulary is {VOCABULARY.size}"):
        load(tmp_path)
    with pytest.raises(CheckpointError, match=r"image\.codes is 32"):
        save(tmp_path, replace(CONFIG, image=replace(CONFIG.image, codes=32)), VOCABULARY, *model())


# ------------------------------------------------------------------------------------------------------------- tensors


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "image_tokenizer.safetensors", "transformer.safetensors"]
)
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (written(tmp_path) / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)} is missing"):
        load(tmp_path)


@pytest.mark.parametrize("left", [0, 4, 8, 100, -1, -1000])
def test_file_that_is_cut_short_is_named(tmp_path: Path, left: int) -> None:
    path = written(tmp_path) / "transformer.safetensors"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"transformer\.safetensors is damaged or cut short"):
        load(tmp_path)


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path) / "transformer.safetensors"
    weights = load_file(path)
    del weights["layers.0.mlp.up_proj.weight"], weights["embed_cells.weight"]
    weights |= {
        "layers.9.mlp.up_proj.weight": torch.zeros(1),
        "embed_segments.weight": torch.zeros(4, 32),
        "layers.1.mlp.down_proj.weight": torch.zeros(32, 64, dtype=torch.float64),
    }
    save_file(weights, path)
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{path} does not hold the weights of this model")
    assert "missing: embed_cells.weight, layers.0.mlp.up_proj.weight" in message
    assert "unexpected: layers.9.mlp.up_proj.weight" in message
    assert "wrong shape: embed_segments.weight is [4, 32], not [3, 32]" in message
    assert "wrong dtype: layers.1.mlp.down_proj.weight is F64" in message


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_every_tensor_that_is_not_finite_is_named(tmp_path: Path, value: float) -> None:
    path = written(tmp_path) / "image_tokenizer.safetensors"
    weights = load_file(path)
    bad = ["decoder.conv_in.bias", "quantize.embedding.weight"]
    for name in bad:
        weights[name].view(-1)[-1] = value
    save_file(weights, path)
    with pytest.raises(CheckpointError, match=rf"image_tokenizer\.safetensors .*not finite: {', '.join(bad)}$"):
        load(tmp_path)


def test_weight_beyond_the_dtype_is_noticed_both_ways(tmp_path: Path) -> None:
    linear = nn.Linear(2, 2)
    linear.weight.data.fill_(1e6)
    path = tmp_path / "linear.safetensors"
    with pytest.raises(CheckpointError, match=r"not written: not finite as float16: weight$"):
        save_tensors(path, linear)
    assert list(tmp_path.iterdir()) == []
    save_tensors(path, linear, torch.float32)
    with pytest.raises(CheckpointError, match=r"not finite: weight as float16$"):
        load_tensors(path, nn.Linear(2, 2), torch.float16)


def test_digest_goes_by_names_and_contents_not_order_nor_place(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one"), written(tmp_path / "two")
    assert digest(files_of(one)) == digest(reversed(files_of(two)))
    path = two / "transformer.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert digest(files_of(one)) != digest(files_of(two))
    path.unlink()
    with pytest.raises(CheckpointError, match=r"transformer\.safetensors cannot be read"):
        digest(files_of(two))


def test_digest_tells_which_file_holds_what(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    before = digest([one, two])
    one.write_bytes(b"2")
    two.write_bytes(b"1")
    assert digest([one, two]) != before


# ------------------------------------------------------------------------------------------------- shards and pickles


def index(folder: Path, **places: str) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "1.safetensors")
    save_file({"b": torch.ones(3)}, tmp_path / "2.safetensors")
    found = stored(index(tmp_path, a="1.safetensors", b="2.safetensors"))
    assert {name: part.shape for name, part in found.items()} == {"a": (2,), "b": (3,)}
    assert torch.equal(found["b"].read(), torch.ones(3))


@pytest.mark.parametrize(
    "place", ["../x.safetensors", "/etc/passwd", "a/x.safetensors", "..", "", "..\\x.safetensors", 3]
)
def test_index_cannot_lead_out_of_its_folder(tmp_path: Path, place: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"index\.json puts a into .*no file of its folder"):
        stored(index(inside, a=place))


def test_index_and_shard_must_agree(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2), "c": torch.zeros(2)}, tmp_path / "1.safetensors")
    with pytest.raises(CheckpointError, match=r"1\.safetensors.*missing: b; unexpected: c"):
        stored(index(tmp_path, a="1.safetensors", b="1.safetensors"))
    with pytest.raises(CheckpointError, match=r"2\.safetensors is missing"):
        stored(index(tmp_path, a="2.safetensors"))
    with pytest.raises(CheckpointError, match="no weight_map"):
        stored(index(tmp_path))


class Harm:
    """A pickle of this runs code where it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._path,)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin"])
@pytest.mark.parametrize("bare", [True, False])
def test_pickle_that_would_run_code_is_refused_and_not_run(tmp_path: Path, suffix: str, bare: bool) -> None:
    path, trace = tmp_path / f"x{suffix}", tmp_path / "was-here"
    if bare:
        path.write_bytes(pickle.dumps({"a": Harm(trace)}, protocol=2))
    else:
        torch.save({"a": torch.zeros(2), "b": Harm(trace)}, path)
    with pytest.raises(CheckpointError, match=rf"x\{suffix} is refused: .*could run code.*safetensors"):
        stored(path)
    assert not trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("inside", [True, False])
def test_pickle_of_tensors_is_read(tmp_path: Path, zipped: bool, inside: bool) -> None:
    tensors: dict[str, Tensor] = {"a": torch.arange(6.0).view(2, 3)}
    path = tmp_path / "x.ckpt"
    content = {"state_dict": tensors, "epoch": 3} if inside else tensors
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = stored(path)["a"]
    assert (found.shape, found.dtype) == ((2, 3), "float32")
    assert torch.equal(found.read(), tensors["a"])


@pytest.mark.parametrize("left", [0, 3, 60, 300, -1, -40])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_that_is_cut_short_is_named(tmp_path: Path, left: int, zipped: bool) -> None:
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(64)}, path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(CheckpointError, match=r"x\.pth is damaged or cut short"):
        stored(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [([torch.zeros(2)], "holds a list"), ({"a": 3}, "more than tensors by name: 'a'"), ({1: torch.zeros(2)}, ": 1")],
)
def test_pickle_of_something_else_says_what(tmp_path: Path, content: object, said: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=said):
        stored(tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_sparse_tensor_and_unknown_file_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2, 2).to_sparse(), "bias": torch.zeros(2)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"wrong dtype: weight is torch\.sparse_coo"):
        load_tensors(tmp_path / "x.pt", nn.Linear(2, 2), torch.float32)
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"x\.gguf is no file of weights"):
        stored(tmp_path / "x.gguf")


def test_blocksworld_tokenizer_passes_the_checks() -> None:
    whole = replace(CONFIG, image=BLOCKSWORLD_IMAGE)
    assert config_of(config_json(whole)) == whole
