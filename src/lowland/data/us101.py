"""Real recordings of the freeway US-101 in Los Angeles (NGSIM), as CommonRoad's source packages carry them."""

from __future__ import annotations

from pathlib import Path

from lowland.data.catalogue import dataset
from lowland.data.logs import parse_tracks
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.data.tracks import Tracks

_REACH = Source(
    name="us101",
    package="commonroad-reach",
    version="2025.2.1",
    sha256={"commonroad_reach-2025.2.1.tar.gz": "15bf985b978ec00d5cac78e377d31173bf7d88037adaa1e0063b9c8aef3401c4"},
    client="pip",
    archive="commonroad_reach-2025.2.1.tar.gz",
    size=10_442_511,
    root="commonroad_reach-2025.2.1/scenarios",
)
_CHECKER = Source(
    name="us101",
    package="commonroad-drivability-checker",
    version="2025.4.0",
    sha256={
        "commonroad_drivability_checker-2025.4.0.tar.gz": (
            "77ccc5ffb36becc2a528e09b01526997742a3f946fe77506cc1732fe325147d0"
        )
    },
    client="pip",
    archive="commonroad_drivability_checker-2025.4.0.tar.gz",
    size=3_781_042,
    root="commonroad_drivability_checker-2025.4.0/tutorials",
)
# US101-1_2 is the recording of 1_1 with another task, 3_3_S holds regions instead of trajectories, and 3_1 is in both #
# packages.
SCENARIOS = (
    (_REACH, ["1_1", "5_1", "6_1", "8_1", "11_4", "15_1", "17_1", "24_2"]),
    (_CHECKER, ["3_1", "3_3"]),
)


@dataset(
    what="Recordings of dense traffic on the freeway US-101 (NGSIM 2005), as CommonRoad scenarios: for tests.",
    size="10 logs, 289 vehicles",
    licence="BSD (packages); recorded by NGSIM, US Department of Transportation",
    source=_REACH,
    also=(_CHECKER,),
)
def us101(data_dir: str | Path | None = None) -> list[Tracks]:
    """Ten recordings of 3 to 13 seconds, one log per scenario: five or six lanes, mean speeds 8 to 17 m/s.

    They are too short and too few to train on, and serve as a test on real traffic. Logs 15_1 and 5_1 share 1.4 s.

    Args:
        data_dir: folder with both archives, or with the XML files. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    logs = []
    for source, scenarios in SCENARIOS:
        names = [f"USA_US101-{scenario}_T-1.xml" for scenario in scenarios]
        found = read(source, names, data_dir).content
        logs += [parse_tracks(found[name], name)[0] for name in names]
    return logs
