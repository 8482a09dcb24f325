//! A struct of optional fields, shown as JSON under their own names, the absent ones left out, with
//! what each of them means.

/// Declares the struct. Each field's doc comment is its help; the methods of `Info` that say more
/// follow the type.
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
            /// What each field means.
            pub(crate) const MEMBERS: &'static [(&'static str, crate::Info)] = &[$({
                const HELP: &str = concat!($($help),*).trim_ascii();
                (
                    stringify!($field),
                    crate::Info::with_help(HELP)$($(.$more($($argument)?))*)?,
                )
            },)*];
        }

        // By hand and not derived: it keeps a compiler for macros out of a small crate's tree.
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
