//! Enums whose values have names.

/// Declares an enum whose values have stable names, written as `Value = "name"`.
///
/// The enum gets `ALL`, `NAMES`, `name` and `parse`, and its `Display` is the name.
///
/// ```
/// lifecycle::named! {
///     /// A colour of a traffic light.
///     #[derive(Debug, Clone, Copy, PartialEq, Eq)]
///     pub enum Colour {
///         /// Stop.
///         Red = "red",
///         /// Go.
///         Green = "green",
///     }
/// }
///
/// assert_eq!(Colour::NAMES, ["red", "green"]);
/// assert_eq!(Colour::ALL.map(Colour::name), Colour::NAMES);
/// assert_eq!(Colour::parse("green"), Some(Colour::Green));
/// assert_eq!(Colour::Red.to_string(), "red");
/// ```
#[macro_export]
macro_rules! named {
    (
        $(#[$of_type:meta])*
        $visibility:vis enum $type:ident {
            $($(#[$of_value:meta])* $value:ident = $name:literal,)+
        }
    ) => {
        $(#[$of_type])*
        $visibility enum $type {
            $($(#[$of_value])* $value,)+
        }

        #[allow(dead_code, reason = "not every enum needs everything")]
        impl $type {
            /// All values, in the order of their declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$value),+];

            /// The names of [`Self::ALL`].
            pub const NAMES: [&'static str; Self::ALL.len()] = [$($name),+];

            /// Returns the name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }

            /// Returns the value with this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}
