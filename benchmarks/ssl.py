"""Speed of self-supervised learning from images: the script `joint_embedding.py`, which explains itself.

    python benchmarks/ssl.py [--quick] [--json FILE] [--threads T ...]

A script's folder comes first where Python looks for modules, so that this file hides the module `ssl` of the standard
library from everything that runs here. Imported by that name it therefore makes room for it.
"""

from __future__ import annotations

import sys
import sysconfig
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

if __name__ == "__main__":
    from joint_embedding import main

    main()
else:
    spec = PathFinder.find_spec(__name__, [sysconfig.get_path("stdlib")])
    assert spec is not None
    assert spec.loader is not None
    sys.modules[__name__] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])
