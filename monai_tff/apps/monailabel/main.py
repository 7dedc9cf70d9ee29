"""What `monailabel start_server --app` looks for: a file of this name with the app in it."""

from __future__ import annotations

from monai_tff.apps.monailabel.app import TFFApp

__all__ = ["TFFApp"]
