"""An AutoencoderKL whose weights are set by hand: exact 4x4 block means in, nearest 4x4 blocks out.

The three channels are whitened and spread over four latents of unit variance (a tetrahedral tight frame). Every resnet is
the identity. The last GroupNorm and SiLU are neutralised: two carrier channels of +-CARRIER fix the group's deviation, a
channel that is always zero is subtracted again and takes the mean away, a large bias keeps SiLU on its straight branch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = 8
_CARRIER = 1000.0
_BIAS = 20.0
_FRAME = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=np.float64) / 3**0.5


def whitening(pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of pixels (n, 3) in -1..1: the matrix (4, 3) to latents, its inverse (3, 4), and the mean (3,) to take off first.

    ZCA whitening followed by the frame; the frame's transpose times the frame is 4/3 of the identity.
    """
    mean = pixels.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov(pixels.T))
    whiten = axes @ np.diag(spread**-0.5) @ axes.T
    unwhiten = axes @ np.diag(spread**0.5) @ axes.T
    return _FRAME @ whiten, 0.75 * unwhiten @ _FRAME.T, mean


def build_vae(pixels: NDArray[np.float64]) -> Any:
    """The autoencoder (96x96 pixels to 24x24 latents of 4 channels) whitened for these pixels (n, 3) in -1..1."""
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(CHANNELS,) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,
        sample_size=96,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )
    forward, backward, mean = (torch.from_numpy(array).float() for array in whitening(pixels))
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.zero_()
        _set_encoder(vae.encoder, forward, mean)
        _set_decoder(vae.decoder, backward, mean)
        for convolution, channels in ((vae.quant_conv, 8), (vae.post_quant_conv, 4)):
            for channel in range(channels):
                convolution.weight[channel, channel, 0, 0] = 1
    return vae.eval()


def _set_encoder(encoder: Any, matrix: Any, mean: Any) -> None:
    _identity(encoder.conv_in, 3)
    _carriers(encoder.conv_in)
    for block in encoder.down_blocks:
        for sampler in block.downsamplers or ():
            for channel in range(5):
                sampler.conv.weight[channel, channel, :2, :2] = 0.25
    _neutral(encoder.conv_norm_out)
    encoder.conv_out.weight[:4, :3, 1, 1] = matrix
    encoder.conv_out.weight[:4, 5, 1, 1] = -matrix.sum(1)
    encoder.conv_out.bias[:4] = -matrix @ mean
    encoder.conv_out.bias[4:] = -30


def _set_decoder(decoder: Any, matrix: Any, mean: Any) -> None:
    decoder.conv_in.weight[:3, :4, 1, 1] = matrix
    decoder.conv_in.bias[:3] = mean
    _carriers(decoder.conv_in)
    for block in decoder.up_blocks:
        for sampler in block.upsamplers or ():
            _identity(sampler.conv, 5)
    _neutral(decoder.conv_norm_out)
    _identity(decoder.conv_out, 3)
    decoder.conv_out.weight[:, 5, 1, 1] = -1


def _identity(convolution: Any, channels: int) -> None:
    for channel in range(channels):
        convolution.weight[channel, channel, 1, 1] = 1


def _carriers(convolution: Any) -> None:
    convolution.bias[3] = _CARRIER
    convolution.bias[4] = -_CARRIER


def _neutral(norm: Any) -> None:
    deviation = _CARRIER * (2 / CHANNELS) ** 0.5
    for channel in (0, 1, 2, 5):
        norm.weight[channel] = deviation
        norm.bias[channel] = _BIAS


def latent_map(vae: Any) -> tuple[Any, Any]:
    """The affine map (matrix (4, 3), offset (4,)) from a cell's colour in -1..1 to its latent, read off the weights."""
    weight = vae.encoder.conv_out.weight
    return weight[:4, :3, 1, 1].detach().clone(), vae.encoder.conv_out.bias[:4].detach().clone()
