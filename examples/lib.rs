//! Programs to run and to read: `cargo run --example NAME`.
