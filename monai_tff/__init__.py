"""Subject-level predictions from 4D fMRI scans with TFF, the Transformer Framework for fMRI, on MONAI."""

__version__ = "0.1.0"
