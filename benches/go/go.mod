module expvar-benches

go 1.19
