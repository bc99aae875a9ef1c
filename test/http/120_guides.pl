# Each guide that shows commands with their output is true: played from top to bottom, they print just that.
use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use Guide;

Guide::check('docs/guides/*.md');
