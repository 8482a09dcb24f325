expvar::group! {
    struct EmptyName = "pool" {
        hits: Counter = "";
    }

    struct EmptyPrefix = "" {
        hits: Counter = "hits";
    }
}

fn main() {}
