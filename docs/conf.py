"""The documentation site: MyST pages of this folder, pages of the repository, and a reference from docstrings."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

from monai_tff import __version__  # noqa: E402

project = "monai_tff"
author = "the monai_tff project"
copyright = "the monai_tff project; Apache-2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "repository_pages",
    "package_reference",
    "command_reference",
]
exclude_patterns = ["_build", "_extensions"]

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "dollarmath"]

# Installed beside MONAI Label only; the pages of its app are made without it.
autodoc_mock_imports = ["monailabel", "requests_toolbelt", "starlette", "uvicorn"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
# Each page lists its functions itself; in the tree of all pages they would cost half of the time of a build.
toc_object_entries = False
# What the mocked base classes of the app do not have; types in docstrings by names that two modules have.
suppress_warnings = ["autodoc.mocked_object", "ref.python"]

html_theme = "furo"
html_title = f"monai_tff {version}"
html_copy_source = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
