expvar::vars! {
    static SIZES: Histogram = "sizes", unit: Kilobytes;
}

fn main() {}
