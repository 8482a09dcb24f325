expvar::vars! {
    static REQUESTS: Map = "requests", label: "route,method";
}

fn main() {}
