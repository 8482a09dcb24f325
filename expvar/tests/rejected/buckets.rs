expvar::vars! {
    static ONE: Histogram = "one", buckets: 100;
    static TWO: Histogram = "two", buckets: [250, 100];
    static THREE: Counter = "three", buckets: [100];
    static FOUR: Histogram = "four", exemplars: 7;
    static FIVE: Gauge = "five", exemplars: true;
    static SIX: Histogram = "six", buckets: [-1.0];
}

fn main() {}
