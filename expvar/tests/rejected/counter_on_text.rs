expvar::vars! {
    static VERSION: Text = "version", counter;
}

fn main() {}
