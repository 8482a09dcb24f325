//! A macro for structs of optional fields, serialized under their own names without the absent
//! ones, with metadata for each field.

/// Declares the struct. A field's doc comment is its help text; further methods of `Info` follow
/// the type.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {$(
            $(#[doc = $help:literal])*
            pub $field:ident: Option<$value:ty> $([$($more:ident($($argument:expr)?)),*])?,
        )*}
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[doc = $help])* pub $field: Option<$value>,)*
        }

        impl $name {
            /// The metadata of each field.
            pub(crate) const MEMBERS: &'static [(&'static str, crate::Info)] = &[$({
                const HELP: &str = concat!($($help),*).trim_ascii();
                (
                    stringify!($field),
                    crate::Info::with_help(HELP)$($(.$more($($argument)?))*)?,
                )
            },)*];
        }

        // Not derived, so that a small crate does not depend on a compiler of macros.
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                $(if let Some(value) = &self.$field {
                    map.serialize_entry(stringify!($field), value)?;
                })*
                map.end()
            }
        }
    };
}
pub(super) use record;
