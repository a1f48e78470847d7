"""Sphinx configuration. `make docs` builds with warnings as errors; every code cell is executed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import galfit_ml

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "galfit_ml"
author = "The galfit_ml developers"
copyright = "2026, The galfit_ml developers"
version = release = galfit_ml.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build", "jupyter_execute", "example_plugin", "**.ipynb_checkpoints"]
# Tables that pages include.
exclude_patterns += ["network/*", "latent/*", "saliency/*", "real/*", "benchmark/*"]

default_role = "py:obj"  # a name in single backticks is a link where it can be one
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"galfit_ml {release}"

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_render_markdown_format = "myst"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

ARRAY = re.compile(r"~?numpy\.ndarray\[tuple\[~?typing\.Any, \.\.\.\], ~?numpy\.dtype\[~?numpy\.(\w+)\]\]")


def readable(text: str | None) -> str | None:
    """A signature with NDArray as it was written, and without what only a machine can use."""
    return text and ARRAY.sub(r"NDArray[\1]", text).replace(" = <factory>", " = ...")


def shorten_signature(*event: str | None) -> tuple[str | None, str | None]:
    """Answer Sphinx' event `autodoc-process-signature`, whose last two arguments are the texts."""
    return readable(event[-2]), readable(event[-1])


def setup(app: Sphinx) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("autodoc-process-signature", shorten_signature)
