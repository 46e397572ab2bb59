"""The configuration of a network and of its loss: frozen dataclasses, stored in every checkpoint.

No field that a user sets has a default: defaults are only in the notebooks' `parameters` cells (`aslutils.run.stages`).
"""

from dataclasses import dataclass

from aslutils.system.errors import UserError, at_least


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and parts of a network."""

    dim: int                        # model width D
    blocks: int                     # Squeezeformer blocks
    heads: int                      # attention heads H of the encoder; D / H is even, for rotary pairs
    kernel: int                     # depthwise convolution, in frames; odd
    attention: str                  # "rotary" or "relative" (Transformer-XL), round 1's
    part_stems: bool                # a stem each for left hand, right hand, face and pose, beside the one over all
    backward_decoder: bool          # a second decoder, trained on the reversed phrase; may rank what a beam search finds
    confidence: bool                # a head that predicts the out-of-fold score
    decoder_layers: int             # transformer decoder layers
    decoder_heads: int              # their attention heads
    decoder_ffn: int                # their feed-forward width
    stem_channels: int              # channels of the stem's convolution
    stem_momentum: float            # weight of the new batch in the stem's BatchNorm1d statistics, as published
    dropout: float                  # in the encoder's modules and on the decoder's residuals and activations
    decoder_attention_dropout: float  # on the decoder's attention weights
    ctc: bool = False               # an auxiliary CTC head on the encoder, which may have a share in a search; by ctc_weight
    shown: bool = False             # one that says what each frame shows; a reading's confidence is then its; by shown_weight

    def __post_init__(self):
        at_least(self, dim=1, blocks=1, heads=1, kernel=1, decoder_layers=1, decoder_heads=1, decoder_ffn=1, stem_channels=1)
        if self.attention not in ("rotary", "relative"):
            raise UserError(f"attention is {self.attention!r}; it must be 'rotary' or 'relative'")
        if self.dim % (2 * self.heads) or self.dim % self.decoder_heads or self.dim % 4:
            raise UserError(f"dim {self.dim} must be divisible by 4, by 2 * heads ({2 * self.heads}) "
                            f"and by decoder_heads ({self.decoder_heads})")
        if self.kernel % 2 == 0:
            raise UserError(f"kernel is {self.kernel}; it must be odd, to stay centred on its frame")
        for name in ("dropout", "decoder_attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not 0 < self.stem_momentum <= 1:
            raise UserError(f"stem_momentum is {self.stem_momentum}; it must be above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights and options of the loss."""

    mask_probability: float         # a decoder input becomes MASK with this probability
    replace_probability: float      # it becomes a random character instead with this one (the competition's 4th place)
    backward_weight: float          # share of the backward decoder in the cross entropy
    confidence_weight: float        # share of the confidence head in the total loss
    ctc_weight: float               # weight of an auxiliary CTC loss on the encoder, added; 0: no such head
    shown_weight: float             # weight of an auxiliary loss on the character that each frame shows, where the data say it
    ignore_pad: bool                # True: only real characters and EOS are targets; False: all positions, as published

    def __post_init__(self):
        for name in ("mask_probability", "replace_probability", "backward_weight", "confidence_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; it must be in 0..1")
        if self.mask_probability + self.replace_probability > 1:
            raise UserError(f"mask_probability {self.mask_probability} and replace_probability {self.replace_probability} are "
                            "shares of the same decoder inputs; their sum must be at most 1")
        at_least(self, ctc_weight=0, shown_weight=0)
