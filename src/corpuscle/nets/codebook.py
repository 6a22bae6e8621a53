"""An encoder that counts visual words: small squares, each called by the nearest of some that k-means has found.

Words: Sivic and Zisserman, Video Google, ICCV 2003; Csurka et al., Visual categorization with bags of keypoints, 2004.
Whitened squares and k-means in the place of descriptors: Coates, Ng and Lee, An analysis of single-layer networks in
unsupervised feature learning, AISTATS 2011. The root of the shares (Hellinger's distance): Arandjelović and Zisserman,
Three things everyone should know to improve object retrieval, CVPR 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpuscle.nets.rings import ring_of, shrunk

COLOURS = 3
SIDES = (1, 3, 5)  # sides in pixels, once the image is shrunk: its colours, its edges, its texture
RINGS = (0.35, 0.7)  # radii, in half sides, that part a cell from what surrounds it; turning the image changes nothing


class Words(nn.Module):
    """The words of one size of square, and which of them each square of an image is nearest to.

    Args:
        side: of a square, in pixels.
        count: K, how many words there are.

    Attributes:
        white_DC: from a square, its mean taken off, to numbers without correlation and of deviation 1.
        mean_C: of the squares.
        word_KD: the words, among these numbers.
    """

    white_DC: Tensor
    mean_C: Tensor
    word_KD: Tensor

    def __init__(self, side: int, count: int) -> None:
        super().__init__()
        self.side = side
        length = COLOURS * side**2
        self.register_buffer("white_DC", torch.eye(length))
        self.register_buffer("mean_C", torch.zeros(length))
        self.register_buffer("word_KD", torch.zeros(count, length))

    def squares(self, image_NCHW: Tensor) -> Tensor:
        """square_NPC: all that lie within the image, row by row."""
        return functional.unfold(image_NCHW, self.side).transpose(1, 2)

    def nearest(self, square_NPC: Tensor) -> Tensor:
        """word_NP: |z - w|² is least where z·w - |w|²/2 is most, and z·w is a product with the square itself."""
        filter_CK = (self.word_KD @ self.white_DC).T.contiguous()
        bias_K = -self.mean_C @ filter_CK - self.word_KD.square().sum(dim=1) / 2
        at_once = 1 if square_NPC.device.type == "cpu" else len(square_NPC)  # one image's likenesses fit into a cache
        parts = square_NPC.split(at_once)
        return torch.cat([(part_NPC @ filter_CK).add_(bias_K).max(dim=2).indices for part_NPC in parts])

    def distortion(self, image_NCHW: Tensor) -> Tensor:
        """distortion_N: mean squared distance of the whitened squares to their words; without words it is near 1."""
        square_NPC = self.squares(image_NCHW)
        white_NPD = (square_NPC - self.mean_C) @ self.white_DC.T
        return (white_NPD - self.word_KD[self.nearest(square_NPC)]).square().mean(dim=(1, 2))


class Codebook(nn.Module):
    """image_NCHW (three channels) to features_NC: the root of the share of each word, in rings around the centre.

    Nothing in it learns by steps: `corpuscle.engine.words` fills it.

    Args:
        count: words of each size of square.
        pool: "avg" for the features; "none" for distortion_NS, how far squares of each size lie from their words.

    Attributes:
        num_features: C of features_NC.
        alike: the features are shares of one whole, so a probe scales them all by one factor.

    >>> Codebook(count=8)(torch.rand(2, 3, 96, 96)).shape
    torch.Size([2, 72])
    """

    alike = True

    def __init__(self, count: int, pool: str = "avg") -> None:
        super().__init__()
        self.words = nn.ModuleList(Words(side, count) for side in SIDES)
        self.tells = pool != "none"
        self.count = count
        self.num_features = len(SIDES) * (len(RINGS) + 1) * count if self.tells else len(SIDES)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        with torch.autocast(image_NCHW.device.type, enabled=False):  # rounded to bf16 another word may be the nearest
            small_NCHW = shrunk(image_NCHW)
            if self.tells:
                return torch.cat([self._shares(words, small_NCHW) for words in self.sizes], dim=1)
            return torch.stack([words.distortion(small_NCHW) for words in self.sizes], dim=1)

    @property
    def sizes(self) -> Sequence[Words]:
        """The words of each size of square."""
        return cast(Sequence[Words], self.words)

    def _shares(self, words: Words, image_NCHW: Tensor) -> Tensor:
        """The root of each word's share of each ring."""
        height, width = (side - words.side + 1 for side in image_NCHW.shape[2:])
        ring_P, rings = ring_of(height, width, RINGS).to(image_NCHW.device).flatten(), len(RINGS) + 1
        place_NP = words.nearest(words.squares(image_NCHW)) + self.count * ring_P
        counts_NC = image_NCHW.new_zeros(len(place_NP), rings * self.count)
        counts_NC.scatter_add_(1, place_NP, torch.ones_like(place_NP, dtype=torch.float32))
        pixels_R = torch.bincount(ring_P, minlength=rings).clamp(min=1)
        return (counts_NC / pixels_R.repeat_interleave(self.count)).sqrt()
