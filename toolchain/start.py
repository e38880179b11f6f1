"""Run a script of this folder: `start.py install --verbose`. An older Python runs the doctor instead.

Any Python 3 can read this file and doctor.py; in the other scripts it would find a SyntaxError.
"""

import importlib
import sys

import doctor


def main():
    if sys.version_info < doctor.PYTHON:
        return doctor.main(["--quiet"])
    return importlib.import_module(sys.argv.pop(1)).main()


if __name__ == "__main__":
    sys.exit(main())
