expvar::vars! {
    static ROUTES: Map = "routes", counter: true;
}

fn main() {}
