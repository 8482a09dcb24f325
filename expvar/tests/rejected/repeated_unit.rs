expvar::vars! {
    static SIZES: Histogram = "sizes", unit: Bytes, unit: Bytes;
}

fn main() {}
