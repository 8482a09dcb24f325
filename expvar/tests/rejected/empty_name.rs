expvar::vars! {
    static REQUESTS: Counter = "";
}

fn main() {}
