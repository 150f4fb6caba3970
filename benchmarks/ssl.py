"""Speed of self-supervised learning from images: runs the script `joint_embedding.py`.

    python benchmarks/ssl.py [--quick] [--json FILE] [--threads T ...]

A script's folder comes first in Python's module search path, so this file shadows the standard library's module `ssl`
for everything that runs here. If imported under that name, it therefore loads the standard module instead.
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
