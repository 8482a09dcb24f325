//! Measurements: `cargo bench --bench NAME`.
