"""What a network is made of: one frozen dataclass, stored in every checkpoint."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and parts of a network; the defaults are the winning round-2 network ("cfg_2")."""

    dim: int = 208                 # model width D
    blocks: int = 14               # Squeezeformer blocks
    heads: int = 4                 # attention heads H of the encoder; D / H is even, for rotary pairs
    kernel: int = 51               # depthwise convolution, in frames; odd
    attention: str = "rotary"      # or "relative" (Transformer-XL), round 1's
    part_stems: bool = True        # a stem each for left hand, right hand, face and pose, beside the one over all
    backward_decoder: bool = True  # a second decoder, trained on the reversed phrase; may rank what a beam search finds
    confidence: bool = True        # a head that predicts the out-of-fold score
    ctc: bool = False              # an auxiliary CTC head on the encoder, unused at inference
    decoder_layers: int = 2        # transformer decoder layers
    decoder_heads: int = 4         # their attention heads
    decoder_ffn: int = 512         # their feed-forward width
    stem_channels: int = 32        # channels of the stem's convolution
    stem_momentum: float = 0.95    # weight of the new batch in the stem's BatchNorm1d statistics, as published
    dropout: float = 0.1           # in the encoder's modules and on the decoder's residuals and activations
    decoder_attention_dropout: float = 0.2   # on the decoder's attention weights

    def __post_init__(self):
        for name in ("dim", "blocks", "heads", "kernel", "decoder_layers", "decoder_heads", "decoder_ffn", "stem_channels"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.attention not in ("rotary", "relative"):
            raise ValueError(f"attention is {self.attention!r}; it must be 'rotary' or 'relative'")
        if self.dim % (2 * self.heads) or self.dim % self.decoder_heads or self.dim % 4:
            raise ValueError(f"dim {self.dim} must be divisible by 4, by 2 * heads ({2 * self.heads}) "
                             f"and by decoder_heads ({self.decoder_heads})")
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel is {self.kernel}; it must be odd, to stay centred on its frame")
        for name in ("dropout", "decoder_attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not 0 < self.stem_momentum <= 1:
            raise ValueError(f"stem_momentum is {self.stem_momentum}; it must lie above 0 and at most at 1")
