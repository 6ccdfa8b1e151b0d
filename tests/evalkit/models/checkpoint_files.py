"""Small random checkpoints, saved by the libraries that will load them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
WORDS = ["a red ring on a gray background", "a blue square below two green stars"]


def tokenizer(specials: list[str]) -> Tokenizer:
    """A byte-level tokenizer, so that any text has ids."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        WORDS, trainers.BpeTrainer(vocab_size=320, special_tokens=specials, initial_alphabet=alphabet)
    )
    return made


def llava_processor() -> LlavaProcessor:
    """The processor of the LLaVA: two by two patches a picture."""
    specials = ["<pad>", "<s>", "</s>", "<image>"]
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(specials),
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    pictures = CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    return LlavaProcessor(
        pictures,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )


def llava_config(vocabulary: int, width: int, layers: int) -> LlavaConfig:
    """The shape of the LLaVA."""
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=16,
    )
    language = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=512,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=language,
        image_token_index=3,
        image_seq_length=4,
        vision_feature_layer=-1,
    )


def save_llava(folder: Path, seed: int = 0, *, safe: bool = True, width: int = 32, layers: int = 2) -> Path:
    """Save a LLaVA with its processor and chat template."""
    processor = llava_processor()
    torch.manual_seed(seed)
    network = LlavaForConditionalGeneration(llava_config(len(processor.tokenizer), width, layers))
    with torch.no_grad():  # larger weights, so that the picture and the question move the answer
        for tensor in network.parameters():
            if tensor.dim() > 1:
                tensor.mul_(8)
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    if not safe:
        (folder / "model.safetensors").unlink()
        torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder


def save_diffusion(folder: Path, seed: int = 0, *, edits: bool = False, width: int = 8) -> Path:
    """Save a Stable Diffusion that draws 32 x 32 pixels, or an InstructPix2Pix."""
    torch.manual_seed(seed)
    vocabulary = json.loads(tokenizer(["<|startoftext|>", "<|endoftext|>"]).to_str())["model"]
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary["vocab"]),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    vae = AutoencoderKL(
        block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )
    pipeline = StableDiffusionInstructPix2PixPipeline if edits else StableDiffusionPipeline
    pipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=CLIPTokenizer(
            vocab=vocabulary["vocab"],
            merges=[tuple(pair) for pair in vocabulary["merges"]],
            model_max_length=77,
        ),
        unet=unet(8 if edits else 4, width),
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def unet(channels: int, width: int = 8) -> UNet2DConditionModel:
    """A denoiser of two blocks, its words amplified so that they move the picture."""
    made = UNet2DConditionModel(
        block_out_channels=(width, 2 * width),
        layers_per_block=1,
        sample_size=16,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        norm_num_groups=4,
        attention_head_dim=2,
    )
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            if ".attn2." in name and tensor.dim() > 1:
                tensor.mul_(8)
    return made


def save_controlnet(folder: Path, seed: int = 0) -> Path:
    """Save a ControlNet for the Stable Diffusion above, its outputs no longer zero."""
    torch.manual_seed(seed)
    net = ControlNetModel.from_unet(unet(4), conditioning_embedding_out_channels=(8, 16))
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if "controlnet" in name:
                torch.nn.init.normal_(tensor, std=0.5)
    net.save_pretrained(folder)
    return folder
