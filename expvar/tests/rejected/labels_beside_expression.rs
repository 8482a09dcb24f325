expvar::vars! {
    static ROUTES: Map = "routes", labels: "route",
        init: if true { Map::new() } else { Map::with_limit(1) };
}

fn main() {}
