# What Python runs first in figup.pyz. Every Python since 2.7 must be able to read this file.
import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "figup: it needs Python 3.11 or newer, and this is %d.%d. Choose another one, for example with "
        "`module load python/3.11`, and run: python3.11 figup.pyz\n" % sys.version_info[:2]
    )
    sys.exit(2)

import figup_unpack  # type: ignore[import-not-found]

figup_unpack.main()
