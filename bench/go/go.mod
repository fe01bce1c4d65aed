module vernier/bench

go 1.21
