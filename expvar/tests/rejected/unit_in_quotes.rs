expvar::vars! {
    static SIZES: Histogram = "sizes", unit: "bytes";
}

fn main() {}
