expvar::group! {
    struct Misnamed = "pool", labels: "pool" {
        hits: Gauge = "hits", counter: true;
    }
}

fn main() {}
