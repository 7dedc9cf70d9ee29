"""Where and when a prediction looks: attribution maps in the space of the scan, and checks of them."""

from monai_tff.explain.run import explain_run
from monai_tff.explain.settings import ExplainSettings

__all__ = ["ExplainSettings", "explain_run"]
