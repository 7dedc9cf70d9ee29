"""The MONAI Label app: bundles answer over HTTP for the scans of a folder; the only place that imports monailabel."""
