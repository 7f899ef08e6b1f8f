"""
__main__: what runs when the folder is run, as "python3 test/simulator"
"""

import os
import sys

if not __package__:
    # Of a folder that is run, Python makes a place of modules of their own.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from simulator.process import main  # noqa: E402

if __name__ == "__main__":
    main()
