"""One scan in memory: the voxels of its mask, frame by frame, in two bytes each; both input channels follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.utils import convert_to_tensor

from monai_tff.data.frames import StoredFrames
from monai_tff.data.packing import pack
from monai_tff.errors import ScanError
from monai_tff.transforms.intensity import normalise_global, normalise_voxels
from monai_tff.transforms.statistics import GlobalStatistics, VoxelStatistics, runs_of_frames


@dataclasses.dataclass(frozen=True, eq=False)
class CompactScan:
    """A trimmed scan, or a window of one, packed in its mask.

    The statistics are always those of the whole trimmed scan, so that a window is normalised as the scan is.

    Attributes:
        values: [T, V], frame-major; uint8, int8, int16 or float32, depending on the encoding.
        mask: bool [H, W, D] with V voxels, after orientation and crop; V runs in C order.
        encoding: `integers`, `codes`, `codes8` or `float32`, see `monai_tff.data.packing`.
        global_mean: mean of all elements within the mask that are not 0.
        global_std: unbiased standard deviation of the same.
        global_fill: background of channel 0.
        voxel_mean: float32 [V], over all frames.
        voxel_mean_rest: float32 [V], what float32 leaves out of the mean.
        voxel_std: float32 [V], exactly 0 for constant voxels.
        slope: factor from stored to real values (`integers`), or from codes to channel 1 (`codes`, `codes8`).
        intercept: offset from stored to real values (`integers`).
        offset: integer that is added to the stored value before slope and intercept (`integers`).
        zero_code: stored value that means exactly 0 (background), None if the scan has no such element.
        affine: float64 [4, 4], voxel indices to mm after orientation and crop, or None.
        repetition_time: seconds, or None where unknown.
        source: the scan's file.

    Example:
        >>> frames = torch.randint(1, 900, (30, 7, 8, 9), dtype=torch.int16)
        >>> scan = CompactScan.from_frames(frames, torch.ones(7, 8, 9, dtype=torch.bool))
        >>> scan.window(3, 20).unpack().shape
        torch.Size([2, 7, 8, 9, 20])
    """

    values: torch.Tensor
    mask: torch.Tensor
    encoding: str
    global_mean: float
    global_std: float
    global_fill: float
    voxel_mean: torch.Tensor
    voxel_mean_rest: torch.Tensor
    voxel_std: torch.Tensor
    slope: float = 1.0
    intercept: float = 0.0
    offset: int = 0
    zero_code: int | None = None
    affine: torch.Tensor | None = None
    repetition_time: float | None = None
    source: str = "the scan"

    @classmethod
    def from_frames(
        cls,
        frames: Any,
        mask: Any,
        *,
        voxels: torch.Tensor | None = None,
        slope: float | None = None,
        intercept: float | None = None,
        encoding: str = "auto",
        affine: Any = None,
        repetition_time: float | None = None,
        source: str = "the scan",
    ) -> CompactScan:
        """Packs a trimmed scan.

        Args:
            frames: real values [T, H, W, D] of any dtype, tensor or array, or `StoredFrames`.
            mask: bool [H, W, D].
            voxels: int64 [V], where the frames' grid holds each voxel of the mask; None if frames and mask have
                the same grid. Orientation and crop then need no copy of the frames.
            slope: the source's scaling, from which its integers are found again; None for 1.
            intercept: likewise; None for 0.
            encoding: `auto` (integers where the source has them, else codes), `integers`, `codes`, `codes8` or
                `float32`.
            affine: [4, 4], of the mask's grid.
            repetition_time: seconds.
            source: the scan's file, for messages.

        Returns:
            The packed scan, on the CPU.

        Raises:
            ScanError: for an empty mask, a mask of another shape, NaN or infinite elements, or a scan that is all 0.
        """
        frames = frames if isinstance(frames, StoredFrames) else StoredFrames(frames)
        mask = _checked_mask(mask, None if voxels is not None else frames.shape[1:], source)
        packed = pack(
            frames,
            mask.flatten().nonzero()[:, 0] if voxels is None else voxels,
            slope=1.0 if slope is None else slope,
            intercept=0.0 if intercept is None else intercept,
            encoding=encoding,
            background_elsewhere=not bool(mask.all()),
            source=source,
        )
        affine = None if affine is None else torch.as_tensor(affine, dtype=torch.float64).clone()
        return cls(mask=mask, affine=affine, repetition_time=repetition_time, source=source, **packed.fields())

    @property
    def num_frames(self) -> int:
        """T."""
        return self.values.shape[0]

    @property
    def num_voxels(self) -> int:
        """V, voxels within the mask."""
        return self.values.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of values, mask and statistics; of a window only its own frames count."""
        statistics = (self.voxel_mean, self.voxel_mean_rest, self.voxel_std)
        return sum(tensor.nbytes for tensor in (self.values, self.mask, *statistics))

    def window(self, start: int, length: int) -> CompactScan:
        """A window that shares this scan's memory.

        Args:
            start: first frame.
            length: frames.

        Raises:
            ScanError: if the window does not lie within the scan.
        """
        if length < 1 or start < 0 or start + length > self.num_frames:
            raise ScanError(
                f"{self.source}: there is no window of {length} frames from frame {start} on, expected one within the "
                f"{self.num_frames} frames of the trimmed scan; choose another start or a shorter window_length."
            )
        return dataclasses.replace(self, values=self.values[start : start + length])

    def to(self, device: torch.device | str | None, non_blocking: bool = False) -> CompactScan:
        """The scan with values, mask and voxel statistics on a device; None leaves it where it is."""
        if device is None:
            return self
        return self._with_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> CompactScan:
        """The scan in page-locked memory, from where a GPU copies while it computes; DataLoader calls this."""
        return self._with_tensors(lambda tensor: tensor.pin_memory())

    def unpack(self) -> torch.Tensor:
        """Both input channels, on the scan's device.

        Returns:
            float32 [2, H, W, D, T]; its memory runs frame by frame, so that folding frames into the batch is free.
        """
        return unpack_windows([self])[0]

    def _with_tensors(self, change: Callable[[torch.Tensor], torch.Tensor]) -> CompactScan:
        return dataclasses.replace(
            self,
            values=change(self.values),
            mask=change(self.mask),
            voxel_mean=change(self.voxel_mean),
            voxel_mean_rest=change(self.voxel_mean_rest),
            voxel_std=change(self.voxel_std),
        )

    def _normalised(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both channels of the voxels within the mask, float32 [T, V] each."""
        of_scan = GlobalStatistics(self.global_mean, self.global_std, self.global_fill)
        of_voxels = VoxelStatistics(self.voxel_mean, self.voxel_mean_rest, self.voxel_std)
        frames = self.values.to(torch.float32)
        if self.encoding == "float32":
            zeros = frames == 0
            return normalise_global(frames, of_scan, zeros), normalise_voxels(frames, of_voxels, zeros)
        background = torch.zeros((), dtype=torch.bool, device=frames.device)
        if self.zero_code is not None:
            background = self.values == self.zero_code
        if self.encoding in ("codes", "codes8"):
            channel = frames.mul_(self.slope)
            real = channel * self.voxel_std + self.voxel_mean
            return normalise_global(real, of_scan, background), channel.masked_fill_(background, 0.0)
        frames.add_(self.offset).mul_(self.slope).add_(self.intercept)
        return normalise_global(frames, of_scan, background), normalise_voxels(frames, of_voxels, background)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles a window without the rest of the scan, whose memory it shares."""
        state = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.untyped_storage().nbytes() > value.nbytes:
                state[name] = value.clone()
        return _restored, (state,)


def _checked_mask(mask: Any, grid: tuple[int, ...] | None, source: str) -> torch.Tensor:
    """The mask as bool [H, W, D] on the CPU; it must hold a voxel and, where a grid is given, have its shape."""
    mask = convert_to_tensor(mask, track_meta=False).to("cpu", torch.bool).contiguous()
    if grid is not None and tuple(mask.shape) != grid:
        raise ScanError(
            f"{source}: the mask's shape is {tuple(mask.shape)}, expected {grid} as the frames have; "
            "bring the mask to the scan's grid."
        )
    if not bool(mask.any()):
        raise ScanError(
            f"{source}: the mask holds none of {mask.numel()} voxels, expected at least 1; "
            "give another mask, or a crop that does not cut the brain away."
        )
    return mask


def _restored(state: dict[str, Any]) -> CompactScan:
    return CompactScan(**state)


def unpack_windows(
    windows: Sequence[CompactScan], device: torch.device | str | None = None, non_blocking: bool = False
) -> torch.Tensor:
    """The network's input from a batch of windows; masks may differ, grids and lengths may not.

    Args:
        windows: B windows or scans of equal length and grid.
        device: where the packed values go first and the result stays; None for where they are.
        non_blocking: copy from page-locked memory while the device computes.

    Returns:
        float32 [B, 2, H, W, D, T], channel 0 global and channel 1 voxel normalisation; its memory runs window by
        window and frame by frame, so that folding frames into the batch is free.

    Raises:
        ScanError: if there is no window, or lengths or grids differ.
    """
    sizes = {(window.num_frames, *window.mask.shape) for window in windows}
    if len(sizes) != 1:
        raise ScanError(
            f"the windows of a batch have the sizes (T, H, W, D) {sorted(sizes)}, expected one size; "
            "use one window_length, and crop or resample the scans to one grid."
        )
    size = next(iter(sizes))
    moved = [window.to(device, non_blocking) for window in windows]
    out = torch.empty((len(moved), size[0], 2, size[1] * size[2] * size[3]), device=moved[0].values.device)
    unpack = _unpack_in_cache if out.device.type == "cpu" else _unpack_at_once
    for window, frames in zip(moved, out, strict=True):
        unpack(window, frames)
    return out.view(len(moved), size[0], 2, *size[1:]).permute(0, 2, 3, 4, 5, 1)


def _unpack_at_once(window: CompactScan, frames: torch.Tensor) -> None:
    """Writes both channels into [T, 2, H * W * D], all frames in a few large steps, as a GPU wants them."""
    # the number of voxels is known: nonzero would wait for the device to count them
    voxels = torch.nonzero_static(window.mask.flatten(), size=window.num_voxels)[:, 0]
    for channel, (values, fill) in enumerate(zip(window._normalised(), (window.global_fill, 0.0), strict=True)):
        frames[:, channel].fill_(fill).index_copy_(1, voxels, values)


def _unpack_in_cache(window: CompactScan, frames: torch.Tensor) -> None:
    """The same a few frames at a time, which stay in a processor's cache."""
    mask, out = window.mask.flatten().numpy(), frames.numpy()
    for run in runs_of_frames(window.num_frames, window.num_voxels):
        part = dataclasses.replace(window, values=window.values[run])
        for channel, (values, fill) in enumerate(zip(part._normalised(), (window.global_fill, 0.0), strict=True)):
            for row, frame in zip(out[run, channel], values.numpy(), strict=True):
                row.fill(fill)
                # numpy places by a mask faster than torch copies by an index
                row[mask] = frame
