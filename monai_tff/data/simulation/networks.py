"""The simulated brain networks: where each one lies in MNI space and which two are coupled."""

from __future__ import annotations

NETWORKS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "visual": ((-10.0, -84.0, 6.0), (12.0, -82.0, 6.0)),
    "somatomotor": ((-40.0, -24.0, 52.0), (42.0, -22.0, 52.0)),
    "auditory": ((-54.0, -22.0, 6.0), (54.0, -20.0, 6.0)),
    "salience": ((-38.0, 14.0, -2.0), (40.0, 16.0, -2.0), (0.0, 18.0, 40.0)),
    "cerebellar": ((-26.0, -66.0, -36.0), (28.0, -66.0, -36.0)),
    "subcortical": ((-14.0, -4.0, 8.0), (14.0, -4.0, 8.0)),
    "frontoparietal": ((-40.0, 28.0, 32.0), (42.0, 30.0, 32.0), (-36.0, -58.0, 50.0), (38.0, -56.0, 50.0)),
    "default_mode": ((0.0, -52.0, 28.0), (0.0, 52.0, 2.0), (-46.0, -64.0, 26.0), (48.0, -60.0, 26.0)),
}
"""Name -> centres of its parts, mm in MNI space; well-known places of resting-state networks, rounded."""

COUPLED_PAIRS: tuple[tuple[str, str], ...] = (
    ("default_mode", "frontoparietal"),
    ("visual", "somatomotor"),
    ("auditory", "salience"),
    ("cerebellar", "subcortical"),
)
"""Networks whose time courses correlate. Each network is in one pair, so every correlation in (-1, 1) can be chosen
for every pair and every subject without the correlation matrix ceasing to be one."""

SPREAD = 12.0
"""Standard deviation of a part's Gaussian, mm."""

PARCEL_THRESHOLD = 0.2
"""A voxel belongs to the network of largest weight where that weight is above this, some 21 mm from a centre."""
