"""Model types of transformers, built from configuration at small sizes, each with a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

BATCH = 3


@dataclass(frozen=True)
class Family:
    """One architecture: how to build it and what to feed it."""

    name: str
    build: Callable[[], nn.Module]
    batch: Callable[[], dict[str, Any]]


def text(length: int = 6, **more: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    def batch() -> dict[str, Any]:
        mask = torch.ones(BATCH, length, dtype=torch.long)
        mask[1, length // 2 :] = 0
        ids = torch.randint(3, 40, (BATCH, length))
        return {"input_ids": ids, "attention_mask": mask} | {k: f() for k, f in more.items()}

    return batch


def tokens(length: int = 5) -> torch.Tensor:
    return torch.randint(3, 40, (BATCH, length))


def images(size: int = 32) -> Callable[[], dict[str, Any]]:
    return lambda: {"pixel_values": torch.randn(BATCH, 3, size, size)}


def of(model: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    """Build a model of transformers by the names of its classes."""

    def build() -> nn.Module:
        import transformers

        made = getattr(transformers, config)(**options)
        return getattr(transformers, model)(made)

    return build


_BERT = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 32,
}  # fmt: skip
_LLAMA = _BERT | {"num_key_value_heads": 1, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_VIT = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
_BART = {
    "vocab_size": 40, "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
_WHISPER = {key: value for key, value in _BART.items() if key != "max_position_embeddings"}
_SPEECH = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "conv_dim": (8, 8), "conv_stride": (5, 2), "conv_kernel": (10, 3),
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


def _detr() -> nn.Module:
    import transformers

    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage2"]
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, backbone_config=backbone, d_model=16,
        encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=24, decoder_ffn_dim=24, num_queries=5,
        use_pretrained_backbone=False,
    )  # fmt: skip
    return transformers.DetrForObjectDetection(config)


def _clip() -> nn.Module:
    import transformers

    return transformers.CLIPModel(
        transformers.CLIPConfig(
            text_config=_BERT | {"eos_token_id": 2}, vision_config=_VIT, projection_dim=8
        )
    )


FAMILIES = [
    Family("ALBERT", of("AlbertModel", "AlbertConfig", embedding_size=8, **_BERT), text()),
    Family("BART", of("BartModel", "BartConfig", **_BART), text(decoder_input_ids=tokens)),
    Family("BEiT", of("BeitModel", "BeitConfig", **_VIT), images()),
    Family("BERT", of("BertModel", "BertConfig", **_BERT), text()),
    Family("CLIP", _clip, text(pixel_values=lambda: torch.randn(BATCH, 3, 32, 32))),
    Family(
        "ConvNeXt",
        of("ConvNextModel", "ConvNextConfig", hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 2, 1]),
        images(),
    ),
    Family("DeBERTa-v2", of("DebertaV2Model", "DebertaV2Config", **_BERT), text()),
    Family("DeiT", of("DeiTModel", "DeiTConfig", **_VIT), images()),
    Family("DETR", _detr, lambda: {"pixel_values": torch.randn(BATCH, 3, 64, 64)}),
    Family("DINOv2", of("Dinov2Model", "Dinov2Config", **_VIT), images()),
    Family(
        "DistilBERT",
        of("DistilBertModel", "DistilBertConfig", vocab_size=40, dim=16, n_layers=2, n_heads=2,
           hidden_dim=24, max_position_embeddings=32),
        text(),
    ),
    Family(
        "GPT-2",
        of("GPT2LMHeadModel", "GPT2Config", vocab_size=40, n_positions=32, n_embd=16, n_layer=2,
           n_head=2, bos_token_id=1, eos_token_id=2),
        text(),
    ),
    Family("GPT-NeoX", of("GPTNeoXModel", "GPTNeoXConfig", **_BERT), text()),
    Family("HuBERT", of("HubertModel", "HubertConfig", **_SPEECH),
           lambda: {"input_values": torch.randn(BATCH, 400)}),
    Family("Llama", of("LlamaForCausalLM", "LlamaConfig", **_LLAMA), text()),
    Family(
        "Mamba",
        of("MambaModel", "MambaConfig", vocab_size=40, hidden_size=16, num_hidden_layers=2,
           state_size=4),
        lambda: {"input_ids": tokens()},
    ),
    Family(
        "Mixtral",
        of("MixtralModel", "MixtralConfig", num_local_experts=2, num_experts_per_tok=1, **_LLAMA),
        text(),
    ),
    Family(
        "MobileViT",
        of("MobileViTModel", "MobileViTConfig", hidden_sizes=[16, 16, 16],
           neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 16], num_attention_heads=2, image_size=64),
        images(64),
    ),
    Family("Qwen2", of("Qwen2Model", "Qwen2Config", **_LLAMA), text()),
    Family(
        "ResNet",
        of("ResNetModel", "ResNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[2, 1]),
        images(),
    ),
    Family(
        "SegFormer",
        of("SegformerForSemanticSegmentation", "SegformerConfig", hidden_sizes=[8, 8, 16, 16],
           depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=8),
        images(64),
    ),
    Family(
        "Swin",
        of("SwinModel", "SwinConfig", image_size=32, patch_size=4, embed_dim=8, depths=[2, 1],
           num_heads=[2, 2], window_size=4),
        images(),
    ),
    Family(
        "T5",
        of("T5Model", "T5Config", vocab_size=40, d_model=16, d_kv=8, d_ff=24, num_layers=2,
           num_heads=2),
        text(decoder_input_ids=tokens),
    ),
    Family(
        "VideoMAE",
        of("VideoMAEModel", "VideoMAEConfig", num_frames=4, tubelet_size=2, **_VIT),
        lambda: {"pixel_values": torch.randn(BATCH, 4, 3, 32, 32)},
    ),
    Family("ViT", of("ViTModel", "ViTConfig", **_VIT), images()),
    Family("Wav2Vec2", of("Wav2Vec2Model", "Wav2Vec2Config", **_SPEECH),
           lambda: {"input_values": torch.randn(BATCH, 400)}),
    Family(
        "Whisper",
        of("WhisperModel", "WhisperConfig", num_mel_bins=8, max_source_positions=20,
           max_target_positions=20, **_WHISPER),
        lambda: {"input_features": torch.randn(BATCH, 8, 40), "decoder_input_ids": tokens()},
    ),
    Family("YOLOS", of("YolosModel", "YolosConfig", **(_VIT | {"image_size": [32, 32]})), images()),
]  # fmt: skip
"""Sorted by name, as the table is."""
