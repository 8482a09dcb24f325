expvar::vars! {
    static REQUESTS: Counter = "two\nlines";
}

fn main() {}
