"""The MONAI Label app: exported bundles answer over HTTP. The only place that imports monailabel."""
