//! `ExportMetricsServiceRequest`: metrics with what they are of.

use bytes::Bytes;
use expvar::protobuf::Message;

use crate::encode::attributes::{Attributes, OF_EXPONENTIAL};

/// What every request begins with.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// `ResourceMetrics.resource`.
    resource: Message,
    /// `ScopeMetrics.scope`.
    scope: Message,
}

impl Envelope {
    /// Of metrics of a resource with these attributes.
    pub(crate) fn new(resource: &Attributes) -> Self {
        let mut encoded = Message::default();
        encoded.nested(1, |message| resource.put(message, OF_EXPONENTIAL));
        let mut scope = Message::default();
        scope.nested(1, |message| {
            message.text(1, "expvar");
            message.text(2, env!("CARGO_PKG_VERSION"));
        });
        Self { resource: encoded, scope }
    }

    /// A request with these metrics.
    pub(crate) fn wrap(&self, metrics: &[u8]) -> Bytes {
        let extra = self.resource.len() + self.scope.len() + 32;
        let mut request = Message::from(Vec::with_capacity(metrics.len() + extra));
        self.append(&mut request, metrics);
        request.into_bytes().into()
    }

    /// Adds these metrics to a request.
    pub(crate) fn append(&self, request: &mut Message, metrics: &[u8]) {
        request.nested(1, |of_resource| {
            of_resource.append(self.resource.as_bytes());
            of_resource.nested(2, |of_scope| {
                of_scope.append(self.scope.as_bytes());
                of_scope.append(metrics);
            });
        });
    }
}
