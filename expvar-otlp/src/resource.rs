//! The resource: this service, instance and host.

use expvar_push::random_bits;

use crate::encode::attributes::{Attributes, Value};

/// The resource's attributes, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resource {
    attributes: Vec<(String, Text)>,
}

#[derive(Debug, Clone)]
enum Text {
    Text(String),
    Integer(i64),
}

impl Resource {
    /// The attributes known of this process.
    pub(crate) fn of_process() -> Self {
        let mut resource = Self::default();
        resource.set("service.name", &default_service_name());
        resource.set("service.instance.id", &uuid());
        resource.set("host.name", &gethostname::gethostname().to_string_lossy());
        let pid = std::process::id().into();
        resource.attributes.push(("process.pid".to_owned(), Text::Integer(pid)));
        resource.set_sdk();
        resource
    }

    fn set_sdk(&mut self) {
        self.set("telemetry.sdk.name", "expvar");
        self.set("telemetry.sdk.language", "rust");
        self.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
    }

    /// Sets an attribute, replacing one of that name. An empty value removes it.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let at = self.attributes.iter().position(|(known, _)| known == name);
        match (at, value.is_empty()) {
            (Some(at), true) => {
                self.attributes.remove(at);
            }
            (Some(at), false) => self.attributes[at].1 = Text::Text(value.to_owned()),
            (None, true) => {}
            (None, false) => {
                self.attributes.push((name.to_owned(), Text::Text(value.to_owned())));
            }
        }
    }

    pub(crate) fn encode(&self) -> Attributes {
        let mut attributes = Attributes::default();
        for (name, value) in &self.attributes {
            let value = match value {
                Text::Text(text) => Value::Text(text),
                Text::Integer(n) => Value::Integer(*n),
            };
            attributes.push(name, value);
        }
        attributes
    }
}

/// `unknown_service:` and the program's name, as the specification says.
fn default_service_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_name());
    match name {
        Some(name) => format!("unknown_service:{}", name.to_string_lossy()),
        None => "unknown_service".to_owned(),
    }
}

/// A random UUID, of version 4.
fn uuid() -> String {
    let high = random_bits() & !(0xf << 12) | 4 << 12;
    let low = random_bits() & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_a_random_uuid() {
        let (one, other) = (uuid(), uuid());
        assert_ne!(one, other);
        let parts: Vec<_> = one.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{one}");
    }
}
