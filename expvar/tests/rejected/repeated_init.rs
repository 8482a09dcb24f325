expvar::vars! {
    static SIZES: Histogram = "sizes", init: Histogram::new(), init: Histogram::new();
}

fn main() {}
