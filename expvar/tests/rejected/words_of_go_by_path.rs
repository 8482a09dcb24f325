expvar::vars! {
    static COUNT: expvar::Int = "count";
    static VALUE: ::expvar::Func = "value";
    static BY_KIND: expvar::Family = "by_kind";
}

fn main() {}
