expvar::label! {
    enum Method { Get = "GET", Post = "POST" }
}

expvar::vars! {
    static ONE: Family<Counter, Method> = "one";
    static TWO: Family<Counter, (Method, Method)> = "two", label: "method";
}

fn main() {}
