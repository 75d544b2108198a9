"""The number that drawn scenes and hypothesis begin with: the same in each run, so that no run depends on luck.

`STREAMER_SEED=7 pytest ...` draws others, `STREAMER_SEED=anew` others each time; a failure prints the number.
"""

from __future__ import annotations

import os
import random

_SAID = os.environ.get("STREAMER_SEED", "1")
ANEW = _SAID == "anew"
SEED = random.SystemRandom().randrange(2**32) if ANEW else int(_SAID)
