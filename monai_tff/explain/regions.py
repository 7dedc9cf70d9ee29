"""The strongest regions of a map: those of an atlas given as a file, or the clusters of its strongest voxels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.filebasedimages import ImageFileError
from nilearn.image import resample_to_img
from numpy.typing import NDArray
from scipy import ndimage

from monai_tff.errors import ConfigError

TOP_SHARE = 0.05
"""Share of the mask's voxels that count as strongest."""

COLUMNS = ["rank", "region", "voxels", "mean_absolute", "mean_signed", "share", "peak_x", "peak_y", "peak_z"]


@dataclasses.dataclass(frozen=True, eq=False)
class Atlas:
    """Regions as a file gives them.

    Attributes:
        path: of the file.
        image: 3D, whole numbers, 0 for no region.
        names: of regions by number; a region without one is called by its number.
    """

    path: Path
    image: nib.nifti1.Nifti1Image
    names: dict[int, str]

    def regions(self, mask: NDArray[np.bool_], affine: NDArray) -> dict[str, NDArray]:
        """The regions on the grid of the maps, by nearest neighbour.

        A file does not say which space it is in: whether it is that of the scans is for the user to know.

        Args:
            mask: bool `[H, W, D]`.
            affine: of the mask.

        Returns:
            Bool `[H, W, D]` by the name of the region, for those that hold a voxel of the mask.

        Raises:
            ConfigError: for an atlas that lies elsewhere.
        """
        target = nib.nifti1.Nifti1Image(mask.astype(np.uint8), affine)
        resampled = resample_to_img(self.image, target, interpolation="nearest", force_resample=True, copy_header=True)
        numbers = np.where(mask, np.asarray(resampled.dataobj).astype(np.int64), 0)
        found = {self.names.get(int(n), f"region {n}"): numbers == n for n in np.unique(numbers) if n != 0}
        if not found:
            raise ConfigError(
                f"{self.path}: none of its regions holds a voxel of the maps, expected an atlas in the space of the "
                "scans."
            )
        return found


def read_atlas(path: Path, labels: Path | None) -> Atlas:
    """Reads an atlas.

    Args:
        path: 3D NIfTI file of whole numbers.
        labels: table that gives names, see `region_names`.

    Raises:
        ConfigError: for files that cannot be used.
    """
    try:
        image: Any = nib.loadsave.load(path)
        values = np.asanyarray(image.dataobj)
    except (OSError, ValueError, EOFError, ImageFileError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}), expected a NIfTI file of an atlas.") from error
    if values.ndim != 3 or not np.array_equal(values, np.round(values)):
        found = f"{values.ndim} dimensions" if values.ndim != 3 else "values that are not whole numbers"
        raise ConfigError(
            f"{path}: has {found}, expected a 3D volume of region numbers; give an atlas of labels, not of "
            "probabilities."
        )
    whole = nib.nifti1.Nifti1Image(values.astype(np.int32), image.affine)
    return Atlas(path, whole, {} if labels is None else region_names(labels))


def region_names(path: Path) -> dict[int, str]:
    """Names of regions by their number.

    Args:
        path: CSV or TSV file with a column `index` (or `value`, `id`, `label` where that is a number) and a column
            `name` (or `region`, `label`).

    Raises:
        ConfigError: for a file without such columns.
    """
    try:
        table = pd.read_csv(path, sep=None, engine="python")
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}), expected a table of index and name.") from error
    columns = {str(name).strip().lower(): name for name in table.columns}
    number = next((columns[name] for name in ("index", "value", "id") if name in columns), None)
    text = next((columns[name] for name in ("name", "region", "label") if name in columns), None)
    if number is None or text is None or not pd.api.types.is_integer_dtype(table[number]):
        raise ConfigError(
            f"{path}: has the columns {', '.join(map(str, table.columns))}, expected a whole number 'index' and a "
            "'name' for each region; correct the header."
        )
    return {int(index): str(name) for index, name in zip(table[number], table[text], strict=True)}


def clusters(absolute: NDArray, mask: NDArray[np.bool_]) -> dict[str, NDArray]:
    """Connected clusters (by faces, edges and corners) of the strongest voxels of a map.

    Args:
        absolute: the map, `[H, W, D]`.
        mask: bool `[H, W, D]`.

    Returns:
        Bool `[H, W, D]` by a name for each.
    """
    labelled, count = ndimage.label(strongest(absolute, mask), structure=np.ones((3, 3, 3)))
    return {f"cluster {number}": labelled == number for number in range(1, count + 1)}


def strongest(absolute: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The 5 % of a mask's voxels with the largest values, at least one; of equal ones the first count."""
    number = max(1, round(TOP_SHARE * int(mask.sum())))
    order = np.argsort(-np.where(mask, absolute, -np.inf), axis=None, kind="stable")
    chosen = np.zeros(mask.size, dtype=bool)
    chosen[order[:number]] = True
    return chosen.reshape(mask.shape)


def region_table(
    regions: dict[str, NDArray], absolute: NDArray, signed: NDArray, mask: NDArray[np.bool_], affine: NDArray
) -> pd.DataFrame:
    """The regions, the strongest first.

    Args:
        regions: bool `[H, W, D]` by name.
        absolute: mean absolute attributions.
        signed: mean attributions.
        mask: bool `[H, W, D]`.
        affine: voxel indices to mm.

    Returns:
        One row per region: `rank` by `mean_absolute`, `voxels`, `share` of the sum of absolute attributions, and the
        place in mm of the voxel with the largest one.
    """
    total = float(absolute[mask].sum()) or 1.0
    rows: list[dict[str, Any]] = []
    for name, inside in regions.items():
        peak = np.unravel_index(np.argmax(np.where(inside, absolute, -np.inf)), absolute.shape)
        place = affine[:3, :3] @ np.array(peak) + affine[:3, 3]
        rows.append(
            {
                "region": name,
                "voxels": int(inside.sum()),
                "mean_absolute": float(absolute[inside].mean()),
                "mean_signed": float(signed[inside].mean()),
                "share": float(absolute[inside].sum()) / total,
                **{f"peak_{axis}": round(float(value), 2) for axis, value in zip("xyz", place, strict=True)},
            }
        )
    table = pd.DataFrame(rows).sort_values(["mean_absolute", "region"], ascending=[False, True], ignore_index=True)
    return table.assign(rank=range(1, len(table) + 1))[COLUMNS]
