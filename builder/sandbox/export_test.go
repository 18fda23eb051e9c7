package sandbox

var VMStat = &vmstat
