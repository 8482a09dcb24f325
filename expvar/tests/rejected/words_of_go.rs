expvar::vars! {
    static COUNT: Int = "count";
    static SHARE: Float = "share";
    static NAME: String = "name";
    static VALUE: Func = "value";
}

fn main() {}
