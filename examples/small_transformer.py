"""A network of your own: one transformer layer, and attention that pools the steps."""

import torch
from torch import Tensor, nn

from trainer.extend import network

WIDTH = 32


@network("small_transformer")
class SmallTransformer(nn.Module):
    def __init__(self, num_channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Conv1d(num_channels, WIDTH, kernel_size=5, padding=2)
        self.layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout, batch_first=True)
        self.query, self.head = nn.Linear(WIDTH, 1), nn.Linear(WIDTH, num_classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        return self.forward_with_attention(frames, lengths)[0]

    def forward_with_attention(self, frames: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        is_padding = torch.arange(frames.shape[1], device=frames.device) >= lengths[:, None]
        steps = self.stem(frames.transpose(1, 2)).transpose(1, 2)
        steps = self.layer(steps, src_key_padding_mask=is_padding)
        scores = self.query(steps)[..., 0].masked_fill(is_padding, -torch.inf)
        weights = torch.softmax(scores, dim=1)
        return self.head((weights[..., None] * steps).sum(dim=1)), weights
