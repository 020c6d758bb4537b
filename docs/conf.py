"""Settings of the documentation: ``make docs`` builds it into runs/docs, warnings are errors."""

import inspect
import os
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import generate  # noqa: E402  (found by the path above)

project, author, release = "amp_tf", "The amp_tf developers", metadata.version("amp_tf")
project_copyright = author
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]
exclude_patterns = ["_generated"]

html_theme = "furo"
html_title = f"amp_tf {release}"
html_css_files = ["wide.css"]
# formulas are drawn by MathJax as that package has it, offline; as an extension it would forbid to read pages in parallel
html_static_path = ["_static", str(Path(find_spec("sphinx-mathjax-offline").origin).parent / "static")]
mathjax_path = "mathjax/tex-chtml.js"
html_show_sphinx = False
html_theme_options = {"footer_icons": [], "navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

myst_enable_extensions = ["dollarmath", "deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3

# Tutorials run when the site is built, in the checkout, with the programs of this environment; an error in one is an error of the build.
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ["PYTHONPATH"] = str(ROOT)
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ["COLUMNS"] = "100"
os.environ["TQDM_DISABLE"] = "1"  # a bar is drawn over itself, which a page cannot show

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_use_ivar = True


def setup(app):
    app.connect("autodoc-process-signature", _signature)


def _signature(app, what, name, documented, options, signature, annotation):
    """Keras's classes hide what their own ``__init__`` takes."""
    if what != "class" or signature != "(*args, **kwargs)":
        return None
    _, *parameters = inspect.signature(documented.__init__).parameters.values()
    return str(inspect.Signature(parameters)), annotation


generate.write(ROOT / "docs" / "_generated")
