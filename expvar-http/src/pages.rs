//! Pages of the program's own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Uri;

/// A page of the program's own; see [`Builder::pages`](crate::Builder::pages).
///
/// ```
/// use expvar_http::{Page, Server};
///
/// let pages = |uri: http::Uri| async move {
///     (uri.path() == "/version").then(|| Page::new("text/plain; charset=utf-8", "1.2"))
/// };
/// let server = Server::builder().pages(pages).spawn("127.0.0.1:0")?;
/// # server.shutdown();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The `Content-Type`, such as `text/html; charset=utf-8`.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Page {
    /// Creates a page of that content type.
    #[must_use]
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { content_type, body: body.into() }
    }
}

type Answer = Pin<Box<dyn Future<Output = Option<Page>> + Send>>;

/// Finds the page for a URI.
#[derive(Clone)]
pub(crate) struct Pages(Option<Arc<dyn Fn(Uri) -> Answer + Send + Sync>>);

impl Pages {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new<F, A>(find: F) -> Self
    where
        F: Fn(Uri) -> A + Send + Sync + 'static,
        A: Future<Output = Option<Page>> + Send + 'static,
    {
        Self(Some(Arc::new(move |uri| Box::pin(find(uri)))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) async fn find(&self, uri: &Uri) -> Option<Page> {
        match &self.0 {
            Some(find) => find(uri.clone()).await,
            None => None,
        }
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pages").field(&self.0.is_some()).finish()
    }
}
