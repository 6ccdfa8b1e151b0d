"""Prints tokens a second of pictures by this room's loop and by transformers' Chameleon with the same weights, on CPU.

    python tests/benchmarks/bench_generate.py [CODES_A_PICTURE [ROUNDS [THREADS]]]

Small random weights, saved by transformers and loaded here; 16 prompts of one length, guidance 3, the likeliest code
each time, so that both must write the same codes. transformers masks picture codes; here that is lifted, and all but
picture codes are masked instead. The bound is what the matrix products of one step cost alone. Times are the least of
the rounds, in which the two take turns, in processor time, which other programs disturb less than the clock's: so a
rate is that of one core.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn

from cm3leon.chameleon import load
from cm3leon.checkpoints import Checkpoint
from cm3leon.decoding import Sampling
from cm3leon.generate import ROWS, Generator, Prompt
from cm3leon.packed import linear
from cm3leon.places import place_table
from cm3leon.vocab import BREAK, PAD, SPAN_END, Vocabulary, code_name

hf: Any = transformers
"""Its annotations are narrower than what it takes."""

clock = time.process_time
"""Seconds of the processor that all threads took together."""
GUIDANCE = 3.0
PROMPT = 32


def tokenizer(codes: int, vocabulary: int) -> Tokenizer:
    """Return a byte tokenizer with Chameleon's names, filled up to `vocabulary` tokens with reserved ones."""
    names = ["<s>", PAD, "</s>", "<unk>", *(code_name(code) for code in range(codes)), SPAN_END, BREAK]
    names += ["<reserved08706>", "<image>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*names, *letters]
    pieces += [f"piece{i}" for i in range(vocabulary - len(pieces))]
    found = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    found.add_tokens([AddedToken(name, special=name == "<s>", normalized=False) for name in names])
    return found


@torch.no_grad()
def saved(folder: Path, width: int, layers: int, codes: int, vocabulary: int) -> Any:
    """Return transformers' model of random weights, and write it and its tokenizer."""
    words = tokenizer(codes, vocabulary)
    config = hf.ChameleonConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=-(-width * 8 // 3 // 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=4096,
        vocabulary_map=words.get_vocab(),
        vq_config={
            "embed_dim": 8, "num_embeddings": codes, "latent_channels": 16, "resolution": 512, "base_channels": 32,
            "channel_multiplier": [1, 1, 1, 1, 1], "num_res_blocks": 1,
        },
    )  # fmt: skip
    torch.manual_seed(0)
    model = hf.ChameleonForConditionalGeneration(config).eval()
    for name, weight in model.named_parameters():
        if "norm" not in name and "vqmodel" not in name:
            weight.normal_(0, width**-0.5)
    model.save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    return model


class Codes(hf.LogitsProcessor):  # type: ignore[misc]
    """Leaves nothing but picture codes, as a user of transformers would write it."""

    def __init__(self, codes: Tensor) -> None:
        self.codes = codes

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        kept = torch.full_like(scores, -torch.inf)
        kept[:, self.codes] = scores[:, self.codes]
        return kept


@torch.inference_mode()
def theirs(model: Any, prompts: Tensor, plain: Tensor, codes: Tensor, count: int) -> list[list[int]]:
    """Return the codes' ids that transformers writes."""
    out = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=count,
        min_new_tokens=count,
        do_sample=False,
        pad_token_id=1,
        logits_processor=hf.LogitsProcessorList([Codes(codes)]),
        guidance_scale=GUIDANCE,
        negative_prompt_ids=plain,
    )
    ids: list[list[int]] = out[:, prompts.shape[1] :].tolist()
    return ids


def ours(generator: Generator, vocabulary: Vocabulary, prompts: Tensor, plain: Tensor) -> list[list[int]]:
    """Return the codes' ids that this room writes."""
    asked = [
        Prompt((tuple(row), tuple(other)), (GUIDANCE,), Sampling("greedy"), seed)
        for seed, (row, other) in enumerate(zip(prompts.tolist(), plain.tolist(), strict=True))
    ]
    return [vocabulary.image(codes) for _, codes in sorted(generator.pictures(asked))]


def bound(checkpoint: Checkpoint, steps: int = 50) -> float:
    """Return the seconds that one step's matrix products take by themselves."""
    transformer = checkpoint.transformer
    weights: list[Tensor] = [part.weight for part in transformer.layers.modules() if isinstance(part, nn.Linear)]
    weights.append(transformer.head[: len(checkpoint.vocabulary.codes)].detach())
    best = float("inf")
    with torch.inference_mode():
        products = [(linear(weight, 2 * ROWS), torch.randn(2 * ROWS, weight.shape[1])) for weight in weights]
        for _ in range(steps):
            start = clock()
            for product, x in products:
                product(x)
            best = min(best, clock() - start)
    return best


def compared(width: int, layers: int, codes: int, vocabulary: int, count: int, rounds: int) -> None:
    """Print one shape's rates."""
    with tempfile.TemporaryDirectory() as name:
        model = saved(Path(name), width, layers, codes, vocabulary)
        checkpoint = load(Path(name), dtype=torch.float32)
    model.model.vocabulary_mapping.image_tokens = []  # lifts the mask
    words = checkpoint.vocabulary
    writer = Generator(checkpoint.transformer, place_table(words, count), words.codes, (words.marks.span_end,))
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(codes + 10, vocabulary, (ROWS, PROMPT), generator=generator)
    plain = torch.tensor([[0, words.marks.break_]]).repeat(ROWS, 1)
    ids = torch.tensor(words.codes)
    ways: dict[str, Callable[[], list[list[int]]]] = {
        "cm3leon": lambda: ours(writer, words, prompts, plain),
        "transformers": lambda: theirs(model, prompts, plain, ids, count),
    }
    seconds, answers = dict.fromkeys(ways, float("inf")), {}
    for _ in range(rounds):
        for way, work in ways.items():
            start = clock()
            answers[way] = work()
            seconds[way] = min(seconds[way], clock() - start)
    least = bound(checkpoint)
    print(f"width {width}, {layers} layers, {codes} of {vocabulary} tokens are codes, {count} a picture")
    for way, spent in seconds.items():
        rate = f"{ROWS * count / spent:9.0f} tokens/s  {1000 * spent / count:7.2f} ms a step"
        print(f"  {way:26}{rate}  {spent / seconds['cm3leon']:5.2f} times our time")
    print(f"  {'bound':26}{ROWS / least:9.0f} tokens/s  {1000 * least:7.2f} ms a step")
    pairs = zip(answers["cm3leon"], answers["transformers"], strict=True)
    same = sum(a == b for mine, other in pairs for a, b in zip(mine, other, strict=True))
    print(f"  {same} of {ROWS * count} codes are those of transformers", flush=True)


def main(count: int = 64, rounds: int = 3, threads: int = 1) -> None:
    """Print the rates of three shapes: a test's, the shipped model's, and that with Chameleon's whole vocabulary."""
    torch.set_num_threads(threads)
    hf.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, {threads} threads")
    for width, layers, codes, vocabulary in ((64, 2, 256, 1024), (320, 6, 4096, 8192), (320, 6, 8192, 65_536)):
        compared(width, layers, codes, vocabulary, count, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
