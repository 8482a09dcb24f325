//! `ExportMetricsServiceRequest`: metrics with what they are of.

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

    /// The most that a request begins with.
    pub(crate) fn room(&self) -> usize {
        self.resource.len() + self.scope.len() + 2 * FIELD_BYTES
    }

    /// What a request begins with where so many bytes of metrics follow.
    pub(crate) fn front(&self, metrics_len: usize) -> Message {
        let scope_len = self.scope.len() + metrics_len;
        let mut of_scope = Message::default();
        of_scope.begin(2, scope_len);
        let mut front = Message::from(Vec::with_capacity(self.room()));
        front.begin(1, self.resource.len() + of_scope.len() + scope_len);
        for part in [&self.resource, &of_scope, &self.scope] {
            front.append(part.as_bytes());
        }
        front
    }

    /// Adds these metrics to a request.
    pub(crate) fn append(&self, request: &mut Message, metrics: &[u8]) {
        request.append(self.front(metrics.len()).as_bytes());
        request.append(metrics);
    }
}

/// The most that a key of one byte and a length take.
const FIELD_BYTES: usize = 11;
