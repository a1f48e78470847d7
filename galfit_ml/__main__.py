"""`python -m galfit_ml` is `galfit-ml`."""

import sys

from galfit_ml.cli import main

if __name__ == "__main__":
    sys.exit(main())
