//! Variables mounted in an axum application on its own port. One line records its requests, another
//! shows its runtime.
//!
//! `cargo run --example axum [ADDRESS]`

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::net::TcpListener;

expvar::vars! {
    /// Greetings, by name.
    static GREETINGS: Map = "greetings", label: "name", counter;
}

async fn greet(Path(name): Path<String>) -> String {
    // A map is bounded: names past the first 10,000 are counted together.
    GREETINGS.add(&name, 1);
    format!("Hello, {name}!\n")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // tokio.workers, tokio.alive_tasks, tokio.busy_ratio, …
    let _runtime = expvar_tokio::publish("tokio")?;
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(&addr).await.map_err(|err| {
        std::io::Error::new(err.kind(), format!("cannot listen on {addr}: {err}"))
    })?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("{url}/greet/world\n{url}/debug/vars\n{url}/metrics");
    let variables = expvar_http::Service::new();
    let app = Router::new()
        .route("/greet/{name}", get(greet))
        // Requests by route, method and status, for all routes above: http.server.requests, ….
        .layer(expvar_http::layer())
        // /debug/vars and the paths below it.
        .nest_service("/debug", variables.clone())
        .route_service("/metrics", variables);
    axum::serve(listener, app).await?;
    Ok(())
}
