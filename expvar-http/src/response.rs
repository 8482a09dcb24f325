//! The responses, one function each.

use http::header::{
    ALLOW, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, VARY,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::auth::Credentials;
use crate::body::Body;
use crate::document::Rendered;
use crate::host::Refusal;
use crate::routes::INDEX;

/// A response of this server.
pub(crate) type Response = http::Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The variables as JSON.
pub(crate) fn json(document: Rendered) -> Response {
    rendered(document, JSON)
}

/// A rendered document of any type.
pub(crate) fn rendered(document: Rendered, content_type: HeaderValue) -> Response {
    let mut response = with(StatusCode::OK, content_type, Body::new(document.body));
    if document.gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        // Only here: what was asked for plainly has Go's headers, and is fit for any client.
        response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

/// The page at `/` that lists the routes.
pub(crate) fn index() -> Response {
    let body = Body::new(INDEX.as_bytes());
    header(
        with(StatusCode::OK, HTML, body),
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    )
}

/// Go's answer to a path that is not clean, such as `/debug//vars`.
pub(crate) fn redirect(path: &str, query: Option<&str>) -> Response {
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let Ok(location) = HeaderValue::from_str(&target) else { return not_found() };
    let html = format!("<a href=\"{}\">Temporary Redirect</a>.\n\n", escape_html(&target));
    header(with(StatusCode::TEMPORARY_REDIRECT, HTML, Body::new(html)), LOCATION, location)
}

/// 400 for an expression that is not one.
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

/// 421 for a name that is not this server's, 400 where there is no usable name.
pub(crate) fn refused_host(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::Malformed => plain(
            StatusCode::BAD_REQUEST,
            "400 Bad Request: the Host header is missing, repeated or malformed\n",
        ),
        Refusal::Unknown(name) => plain(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "421 Misdirected Request: this server does not go by the name {name:?}\n\
                 Ask for it by IP address or as localhost, or allow the name: \
                 expvar_http::Server::builder().hosts([{name:?}])\n"
            ),
        ),
    }
}

/// 500 for a render that panicked.
pub(crate) fn failed() -> Response {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "the document could not be rendered\n")
}

/// 503 when too many requests wait for documents.
pub(crate) fn busy() -> Response {
    plain(StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting; try again later\n")
}

/// 503 when a document took too long.
pub(crate) fn timed_out() -> Response {
    plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "some variable's function has not returned in time; \
         leave that variable out with a filter, ?r=REGEX\n",
    )
}

fn plain(status: StatusCode, body: impl Into<bytes::Bytes>) -> Response {
    let response = with(status, TEXT, Body::new(body));
    header(response, X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
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
