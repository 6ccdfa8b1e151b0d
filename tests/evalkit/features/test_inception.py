"""Features equal to the tools' own, the same bits in every batch, and a cache that saves the work."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as PillowImage

from evalkit.errors import DataError, WeightsError
from evalkit.features.cache import FeatureCache
from evalkit.features.inception import BATCH, INCEPTION, InceptionExtractor, inception
from evalkit.features.inputs import INPUT_PROTOCOLS, input_protocol, preparation
from evalkit.features.pictures import FilePicture, Picture
from evalkit.images import decode, image_of
from evalkit.progress import Silent
from evalkit.weight_files import Weight
from evalkit.workspace import Workspace
from tests.evalkit.features.conftest import HUB_NAME, MakeExtractor, photo_like

Vectors = npt.NDArray[np.float32]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: test processes share the cores, and threads that wait for each other crawl."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _batch(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.array(PillowImage.open(path).convert("RGB"))).permute(2, 0, 1)[None]


def _torch_fidelity(state: Path, photos: list[Path], feature: str = "2048") -> Vectors:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("reference", [feature], str(state))
    return np.concatenate([network(_batch(path))[0].numpy() for path in photos])


def _torchmetrics(state: Path, photos: list[Path]) -> Vectors:
    from torchmetrics.image.fid import NoTrainInceptionV3

    network = NoTrainInceptionV3("reference", ["2048"], str(state))
    return np.concatenate([network(_batch(path)).numpy() for path in photos])


def _pytorch_fid(state: Path, photos: list[Path]) -> Vectors:
    from pytorch_fid.inception import InceptionV3

    torch.hub.set_dir(str(state.parents[1]))
    network = InceptionV3().eval()
    return np.concatenate([network(_batch(path).float() / 255)[0].flatten(1).numpy() for path in photos])


def _clean_fid(state: Path, photos: list[Path]) -> Vectors:
    """clean-fid's resizer in front of torch-fidelity's layers: its own network is the same one as TorchScript."""
    from cleanfid.resize import build_resizer
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("reference", ["2048"], str(state))
    vectors = []
    for path in photos:
        x = (torch.from_numpy(build_resizer("clean")(decode(path, "photo"))).permute(2, 0, 1)[None] - 128) / 128
        for name, layer in network.named_children():
            if name != "fc":
                x = layer(x)
        vectors.append(x.flatten(1).numpy())
    return np.concatenate(vectors)


TOOLS = {
    "torch-fidelity": _torch_fidelity,
    "pytorch-fid": _pytorch_fid,
    "clean-fid": _clean_fid,
    "torchmetrics": _torchmetrics,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated:DeprecationWarning")  # in clean-fid
@pytest.mark.parametrize("name", INPUT_PROTOCOLS)
def test_features_are_the_tool_s_own(
    name: str, random_inception: MakeExtractor, state_path: Path, photos: list[Path]
) -> None:
    ours = random_inception(name).extract([FilePicture(path) for path in photos]).vectors
    with torch.no_grad():
        theirs = TOOLS[name](state_path, photos)
    assert theirs.std() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_logits_are_torch_fidelity_s_unbiased_logits(
    random_inception: MakeExtractor, state_path: Path, photos: list[Path]
) -> None:
    extractor = random_inception()
    assert extractor.has_classifier
    logits = extractor.extract([FilePicture(path) for path in photos[:3]]).logits
    assert logits is not None
    theirs = _torch_fidelity(state_path, photos[:3], "logits_unbiased")
    np.testing.assert_allclose(logits, theirs, rtol=0, atol=1e-4)


def test_a_picture_has_the_same_bits_in_every_batch(random_inception: MakeExtractor, photos: list[Path]) -> None:
    extractor = random_inception()
    pictures: list[Picture] = [FilePicture(path) for path in photos[: BATCH + 2]]
    together = extractor.extract(pictures)
    backwards = extractor.extract(pictures[::-1])
    assert np.array_equal(together.vectors, backwards.vectors[::-1])
    assert together.logits is not None
    assert backwards.logits is not None
    assert np.array_equal(together.logits, backwards.logits[::-1])
    for row in (0, BATCH - 1, BATCH, len(pictures) - 1):
        alone = extractor.extract([pictures[row]])
        assert np.array_equal(alone.vectors[0], together.vectors[row])
        assert alone.logits is not None
        assert np.array_equal(alone.logits[0], together.logits[row])


class _Interrupted(Silent):
    """Progress that breaks a computation off after so many batches, and counts the pictures told of."""

    def __init__(self, batches: int) -> None:
        self.left = batches
        self.total = 0

    def bar(self, what: str, total: int | None, unit: str) -> _Interrupted:
        self.total += total or 0
        return self

    def advance(self, steps: int = 1) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def close(self) -> None:
        return


def test_a_computation_that_was_broken_off_goes_on_where_it_was(
    random_inception: MakeExtractor, photos: list[Path], tmp_path: Path
) -> None:
    extractor = random_inception()
    pictures = [FilePicture(path) for path in photos[: BATCH + 2]]
    with FeatureCache(tmp_path / "features") as cache:
        with pytest.raises(KeyboardInterrupt):
            extractor.extract(pictures, cache, _Interrupted(1))
        told = _Interrupted(-1)
        resumed = extractor.extract(pictures, cache, told)
        assert told.total == len(pictures) - BATCH
        again = extractor.extract(pictures, cache, told)
        assert told.total == len(pictures) - BATCH
    whole = extractor.extract(pictures)
    for other in (resumed, again):
        assert np.array_equal(other.vectors, whole.vectors)
        assert other.identities == whole.identities


def test_torch_has_all_its_threads_again_after_the_work(random_inception: MakeExtractor) -> None:
    torch.set_num_threads(3)
    random_inception().extract([image_of(photo_like(0, 32, 32))])
    with ThreadPoolExecutor(1) as pool:  # a new thread begins with the setting that all share
        assert pool.submit(torch.get_num_threads).result() == 3


def test_the_same_picture_asked_twice_is_computed_once(random_inception: MakeExtractor) -> None:
    one, two = image_of(photo_like(0, 32, 32)), image_of(photo_like(1, 32, 32))
    told = _Interrupted(-1)
    features = random_inception().extract([one, two, one], None, told, logits=False)
    assert told.total == 2
    assert features.vectors.shape == (3, 2048)
    assert features.logits is None
    assert np.array_equal(features.vectors[0], features.vectors[2])
    assert not np.array_equal(features.vectors[0], features.vectors[1])


def test_no_pictures_are_no_features(random_inception: MakeExtractor) -> None:
    features = random_inception().extract([])
    assert features.vectors.shape == (0, 2048)
    assert features.logits is not None
    assert features.logits.shape == (0, 1008)


def test_an_unreadable_picture_ends_the_work_with_its_name(
    random_inception: MakeExtractor, photos: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pictures = [FilePicture(photos[0]), FilePicture(tmp_path / "broken.png")]
    with pytest.raises(DataError, match=r"broken\.png is not a picture"):
        random_inception().extract(pictures)


def test_each_protocol_and_preparation_has_its_own_fingerprint(random_inception: MakeExtractor) -> None:
    extractors = [random_inception(name) for name in INPUT_PROTOCOLS]
    extractors += [random_inception("clean-fid", name) for name in ("resize-crop-64", "crop-lanczos-64")]
    assert len({e.fingerprint for e in extractors}) == len(extractors)
    assert random_inception().fingerprint == extractors[0].fingerprint


def test_protocol_fields_name_the_choices(random_inception: MakeExtractor) -> None:
    fields = random_inception("clean-fid", "crop-lanczos-256").protocol_fields
    assert fields["resize"] == "bicubic-pil"
    assert fields["antialias"] is True
    assert fields["preparation"] == "crop-lanczos-256"
    assert fields["dtype"] == "float32"
    assert len(str(fields["weights"])) == 64


def test_a_preparation_comes_before_the_tool_s_resize(random_inception: MakeExtractor, photos: list[Path]) -> None:
    from evalkit.features.resize import prepare

    prepared = image_of(prepare(decode(photos[3], "photo"), preparation("resize-crop-64")))
    ours = random_inception("torch-fidelity", "resize-crop-64").extract([FilePicture(photos[3])]).vectors
    assert np.array_equal(ours, random_inception().extract([prepared]).vectors)


def test_missing_weights_are_said_before_any_work(
    tmp_path: Path, random_table: Mapping[str, Weight], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (random_table[INCEPTION].variable, "EVALKIT_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)
    workspace = Workspace(cache=tmp_path, offline=True)
    extractor = InceptionExtractor(workspace, input_protocol("torch-fidelity"), preparation("native"), random_table)
    with pytest.raises(WeightsError, match=r"random\.pth"):
        extractor.prepare()


def test_an_extractor_is_made_without_torch_or_weights(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from evalkit.workspace import Workspace\n"
        "from evalkit.features.inception import inception\n"
        "extractor = inception(Workspace(cache=Path(sys.argv[1]), offline=True), 'torch-fidelity', 'native')\n"
        "assert extractor.dim == 2048; assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_real_photos_under_the_real_weights_are_torch_fidelity_s(shared_data: Path, tmp_path: Path) -> None:
    extractor = inception(Workspace(), "torch-fidelity")
    photos = sorted((shared_data / "coco-mini").rglob("*.jpg"))[:6]
    assert len(photos) == 6
    ours = extractor.extract([FilePicture(path) for path in photos]).vectors
    with torch.no_grad():
        theirs = _torch_fidelity(_reference_state(extractor, tmp_path), photos)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def _reference_state(extractor: InceptionExtractor, folder: Path) -> Path:
    """Write the extractor's tensors as a state dict for torch-fidelity; a missing classifier is zeros, and unused."""
    state: dict[str, torch.Tensor] = {}
    for name, conv in extractor._tensors.convolutions.items():
        state[f"{name}.conv.weight"] = torch.from_numpy(conv.weight.copy())
        state[f"{name}.bn.weight"] = torch.from_numpy(conv.scale.copy())
        state[f"{name}.bn.bias"] = torch.from_numpy(conv.shift.copy())
        state[f"{name}.bn.running_mean"] = torch.from_numpy(conv.mean.copy())
        state[f"{name}.bn.running_var"] = torch.from_numpy(conv.variance.copy())
        state[f"{name}.bn.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    state["fc.weight"], state["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    torch.save(state, folder / HUB_NAME)
    return folder / HUB_NAME
