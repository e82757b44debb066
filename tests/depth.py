"""Which tests `tools/test --deep` alone runs."""
import os
import unittest

DEEP = bool(os.environ.get("CONVOY_DEEP"))
deep = unittest.skipUnless(DEEP, "for tools/test --deep")
