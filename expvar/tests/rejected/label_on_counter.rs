expvar::vars! {
    static REQUESTS: Counter = "requests", label: "route";
}

fn main() {}
