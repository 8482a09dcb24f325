expvar::vars! {
    static SIZES: Histogram = "sizes", units: Bytes;
}

fn main() {}
