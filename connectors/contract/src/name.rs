//! The name of a field. It must never need an allocation for what fields are called in practice: a record
//! has dozens of them, and each is looked for by name.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// What lies in place; the byte behind it is the length.
const SHORT_MAX: usize = 23;

/// A text of up to 23 bytes lies in place, padded with zeros, so that two are compared as three words.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Kind);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Short([u8; SHORT_MAX + 1]),
    Long(Box<str>),
}

impl Name {
    #[inline]
    pub fn new(text: &str) -> Name {
        Name(match short(text.as_bytes()) {
            Some(short) => Kind::Short(short),
            None => Kind::Long(text.into()),
        })
    }

    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // It was cut out of a text as a whole, so it is one.
            Kind::Short(bytes) => std::str::from_utf8(&bytes[..usize::from(bytes[SHORT_MAX])]).unwrap_or_default(),
            Kind::Long(text) => text,
        }
    }
}

#[inline]
fn short(text: &[u8]) -> Option<[u8; SHORT_MAX + 1]> {
    let mut bytes = [0; SHORT_MAX + 1];
    bytes
        .get_mut(..text.len())
        .filter(|_| text.len() <= SHORT_MAX)?
        .copy_from_slice(text);
    bytes[SHORT_MAX] = text.len() as u8;
    Some(bytes)
}

/// The first of the names that is this text.
pub(crate) fn position<'n>(names: impl Iterator<Item = &'n Name>, text: &str) -> Option<usize> {
    let mut names = names;
    match short(text.as_bytes()) {
        Some(short) => names.position(|name| matches!(&name.0, Kind::Short(bytes) if *bytes == short)),
        None => names.position(|name| matches!(&name.0, Kind::Long(long) if **long == *text)),
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Name {
    #[inline]
    fn from(text: &str) -> Self {
        Name::new(text)
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Name::new(&text)
    }
}

impl From<Cow<'_, str>> for Name {
    fn from(text: Cow<'_, str>) -> Self {
        Name::new(&text)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_name_is_its_text_and_no_other(texts in proptest::collection::vec("[ab\\x00é]{0,3}|\\PC{20,26}", 1..4)) {
            let names: Vec<Name> = texts.iter().map(|text| Name::new(text)).collect();
            for (text, name) in texts.iter().zip(&names) {
                proptest::prop_assert_eq!(name.as_str(), text);
                let first = texts.iter().position(|other| other == text);
                proptest::prop_assert_eq!(position(names.iter(), text), first);
                proptest::prop_assert_eq!(names.iter().position(|other| other == name), first);
            }
        }
    }
}
