expvar::label! {
    enum Method { Get = "GET", Post = "GET" }
    enum Status { Ok = "" }
}

fn main() {}
