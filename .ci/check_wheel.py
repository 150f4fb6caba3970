"""Checks that the wheel carries every file of the package: a missing template shows only after installing."""

import sys
import zipfile
from pathlib import Path

(wheel,) = Path(sys.argv[1]).glob("lowland-*.whl")
packed = set(zipfile.ZipFile(wheel).namelist())
wanted = {
    path.relative_to("src").as_posix()
    for path in Path("src/lowland").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
if missing := sorted(wanted - packed):
    sys.exit(f"{wheel.name} lacks {', '.join(missing)}")
print(f"{wheel.name}: all {len(wanted)} files of the package are inside")
