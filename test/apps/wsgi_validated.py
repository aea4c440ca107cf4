"""
The application that VALIDATED names (`module:callable`), between the server and `wsgiref.validate`, which raises
AssertionError for whatever breaks PEP 3333 on either side.
"""
import importlib
import os
import warnings
from wsgiref.validate import WSGIWarning, validator

# What the validator only warns of should be heard as well.
warnings.simplefilter("error", WSGIWarning)

module, _, name = os.environ["VALIDATED"].partition(":")
application = validator(getattr(importlib.import_module(module), name))
