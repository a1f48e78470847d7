"""`galfit-ml plugins new`: a package of one's own with a backend that works, to start from."""

from galfit_ml.scaffold.names import PluginNames
from galfit_ml.scaffold.write import new_plugin

__all__ = ["PluginNames", "new_plugin"]
