//! The responses, one function each.

#[cfg(feature = "pprof")]
use http::header::CONTENT_DISPOSITION;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::MediaType;
use crate::auth::Credentials;
use crate::body::Body;
use crate::document::{Coding, Rendered};
use crate::history::{Events, Span};
use crate::host::Refusal;
use crate::pages::Page;
use crate::routes::INDEX;
use crate::ui::{self, Asset};

/// A response of this server.
pub(crate) type Response = http::Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
#[cfg(feature = "pprof")]
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The variables as JSON.
pub(crate) fn json(document: Rendered) -> Response {
    rendered(document, JSON)
}

/// The variables as Prometheus metrics.
pub(crate) fn metrics(document: Rendered, media_type: MediaType) -> Response {
    let content_type = HeaderValue::try_from(media_type.content_type()).unwrap_or(TEXT);
    let mut response = rendered(document, content_type);
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept"));
    response
}

/// A rendered document of any type.
pub(crate) fn rendered(document: Rendered, content_type: HeaderValue) -> Response {
    let mut response = with(StatusCode::OK, content_type, Body::document(document.body));
    if document.coding == Coding::Gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    // Caches must know that other clients get other bytes. Documents too short to be compressed are
    // the same for all, with Go's headers.
    if document.coding != Coding::TooShort {
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

/// The page at `/` that lists the routes.
pub(crate) fn index() -> Response {
    html(INDEX)
}

/// A page that loads nothing.
pub(crate) fn html(page: &'static str) -> Response {
    let body = Body::new(page.as_bytes());
    header(
        with(StatusCode::OK, HTML, body),
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    )
}

/// A file of the live page.
pub(crate) fn asset(asset: &'static Asset) -> Response {
    page(Page::new(asset.content_type, asset.bytes()))
}

/// A page that may load files from this server and query it, nothing else.
pub(crate) fn page(page: Page) -> Response {
    let content_type = HeaderValue::from_static(page.content_type);
    let response = with(StatusCode::OK, content_type, Body::new(page.body));
    let policy = HeaderValue::from_static(ui::CONTENT_SECURITY_POLICY);
    let response = header(response, CONTENT_SECURITY_POLICY, policy);
    let response = header(response, REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // A page must not be mixed with files of another version of the program.
    fresh(header(response, X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
}

/// The live page's stream.
pub(crate) fn events(
    events: Events,
    closing: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let response = with(StatusCode::OK, EVENT_STREAM, Body::stream(events, closing));
    // nginx would buffer the events.
    fresh(header(response, X_ACCEL_BUFFERING, HeaderValue::from_static("no")))
}

/// The history of some variables.
pub(crate) fn history(json: Vec<u8>) -> Response {
    fresh(with(StatusCode::OK, JSON, Body::new(json)))
}

/// 400 for an unknown span.
pub(crate) fn bad_span(span: &str) -> Response {
    let names = Span::ALL.map(Span::name).join(", ");
    plain(StatusCode::BAD_REQUEST, format!("?span={span:?} is none of {names}\n"))
}

/// Go's redirect for a path that is not clean, such as `/debug//vars`.
pub(crate) fn redirect(path: &str, query: Option<&str>) -> Response {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(location) = HeaderValue::from_str(&target) else { return not_found() };
    let html = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape_html(&target));
    header(with(StatusCode::TEMPORARY_REDIRECT, HTML, Body::new(html)), LOCATION, location)
}

/// 400 for an invalid expression.
pub(crate) fn bad_filter(why: &str) -> Response {
    let remedy = "The syntax is that of https://docs.rs/regex/latest/regex/#syntax; \
                  in a URL, write + as %2B and # as %23.";
    plain(StatusCode::BAD_REQUEST, format!("cannot use the expression in ?r=: {why}\n{remedy}\n"))
}

/// 401, which says how to authenticate.
pub(crate) fn unauthorized(credentials: &Credentials) -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized\n");
    for challenge in credentials.challenges() {
        response.headers_mut().append(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Go's 404.
pub(crate) fn not_found() -> Response {
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Go's 405.
pub(crate) fn method_not_allowed() -> Response {
    let response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
    header(response, ALLOW, HeaderValue::from_static("GET, HEAD"))
}

/// 413 for a body with too many addresses.
#[cfg(feature = "pprof")]
pub(crate) fn too_large() -> Response {
    let most = crate::pprof::MAX_BODY_BYTES;
    let why =
        format!("the body is too large: at most {most} bytes and 4,096 addresses, 0x1234+0x5678\n");
    plain(StatusCode::PAYLOAD_TOO_LARGE, why)
}

/// 421 for an unknown host name, 400 for a missing or malformed one.
pub(crate) fn refused_host(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Malformed => plain(
            StatusCode::BAD_REQUEST,
            "400 Bad Request: the Host header is missing, repeated or malformed\n",
        ),
        Refusal::Unknown(name) => plain(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "421 Misdirected Request: {name:?} is not one of this server's names\n\
                 Use its IP address or localhost, or allow the name: \
                 expvar_http::Server::builder().hosts([{name:?}])\n"
            ),
        ),
    }
}

/// 500 for a render that panicked.
pub(crate) fn failed() -> Response {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the document could not be rendered\n")
}

/// 503 if too many requests are waiting.
pub(crate) fn busy() -> Response {
    plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting; try again later\n")
}

/// 503 if no thread can be started for rendering.
pub(crate) fn no_thread() -> Response {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "the system gives this process no more threads, and documents are rendered on one of \
         their own; raise its limit (ulimit -u, TasksMax=, pids.max) or its memory\n",
    )
}

/// 503 if no more live pages can be open.
pub(crate) fn no_page() -> Response {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "256 live pages are open already, the server is stopping, or the system gives no thread \
         to feed one\n",
    )
}

/// 503 if a document took too long.
pub(crate) fn timed_out() -> Response {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "a variable's function did not return in time; \
         exclude that variable with a filter, ?r=REGEX\n",
    )
}

/// A text that is not cached.
#[cfg(feature = "pprof")]
pub(crate) fn text(body: impl Into<bytes::Bytes>) -> Response {
    fresh(plain(StatusCode::OK, body))
}

/// A file, with the headers that Go sends for profiles.
#[cfg(feature = "pprof")]
pub(crate) fn download(name: &str, body: Vec<u8>) -> Response {
    let response = with(StatusCode::OK, OCTETS, Body::new(body));
    let response = header(response, X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let disposition = format!("attachment; filename=\"{name}\"");
    match HeaderValue::from_str(&disposition) {
        Ok(disposition) => header(fresh(response), CONTENT_DISPOSITION, disposition),
        Err(_) => fresh(response),
    }
}

pub(crate) fn plain(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response {
    let response = with(status, TEXT, Body::new(body));
    header(response, X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

fn fresh(response: Response) -> Response {
    header(response, CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}

fn with(status: StatusCode, content_type: HeaderValue, body: Body) -> Response {
    let mut response = header(Response::new(body), CONTENT_TYPE, content_type);
    *response.status_mut() = status;
    response
}

fn header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

/// The five replacements of Go's `html.EscapeString`.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}
