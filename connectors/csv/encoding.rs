//! The character encodings of CSV files, in and out. It must never replace a character that an
//! encoding lacks: the caller asks first, with [`Encoding::lacks`].

use contract::Malformed;
use encoding_rs::WINDOWS_1252;

const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";
const UTF16LE_BOM: &[u8] = b"\xff\xfe";
const UTF16BE_BOM: &[u8] = b"\xfe\xff";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Utf8,
    /// UTF-8 behind a byte order mark, which older spreadsheets need to recognise it.
    Utf8Bom,
    /// Always behind a byte order mark.
    Utf16Le,
    /// Likewise.
    Utf16Be,
    /// As the WHATWG Encoding Standard has it: the five unassigned bytes are C1 controls.
    Windows1252,
}

impl Encoding {
    pub const NAMES: &'static [&'static str] = &["utf-8", "utf-8-bom", "utf-16le", "utf-16be", "windows-1252"];

    pub fn named(name: &str) -> Option<Encoding> {
        match name {
            "utf-8" => Some(Encoding::Utf8),
            "utf-8-bom" => Some(Encoding::Utf8Bom),
            "utf-16le" => Some(Encoding::Utf16Le),
            "utf-16be" => Some(Encoding::Utf16Be),
            "windows-1252" => Some(Encoding::Windows1252),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf8Bom => "utf-8-bom",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
            Encoding::Windows1252 => "windows-1252",
        }
    }

    /// The first character of the text that this encoding cannot hold.
    pub fn lacks(self, text: &str) -> Option<char> {
        match self {
            Encoding::Utf8 | Encoding::Utf8Bom | Encoding::Utf16Le | Encoding::Utf16Be => None,
            Encoding::Windows1252 if text.is_ascii() => None,
            Encoding::Windows1252 => text.chars().find(|c| {
                let mut buffer = [0; 4];
                let (_, _, replaced) = WINDOWS_1252.encode(c.encode_utf8(&mut buffer));
                replaced
            }),
        }
    }

    /// The bytes of a whole file.
    pub fn encode(self, text: Vec<u8>) -> Result<Vec<u8>, Malformed> {
        match self {
            Encoding::Utf8 => Ok(text),
            Encoding::Utf8Bom => Ok([UTF8_BOM, &text].concat()),
            Encoding::Utf16Le => utf16(&text, UTF16LE_BOM, u16::to_le_bytes),
            Encoding::Utf16Be => utf16(&text, UTF16BE_BOM, u16::to_be_bytes),
            Encoding::Windows1252 => match WINDOWS_1252.encode(as_utf8(&text)?) {
                (bytes, _, false) => Ok(bytes.into_owned()),
                (_, _, true) => Err(Malformed("a character that windows-1252 lacks".to_owned())),
            },
        }
    }

    /// The text of a whole file, without its byte order mark. Bytes that mean nothing are refused.
    pub fn decode(self, bytes: &[u8]) -> Result<String, Malformed> {
        match self {
            Encoding::Utf8 | Encoding::Utf8Bom => {
                as_utf8(bytes.strip_prefix(UTF8_BOM).unwrap_or(bytes)).map(str::to_owned)
            }
            Encoding::Utf16Le => decode_utf16(bytes.strip_prefix(UTF16LE_BOM).unwrap_or(bytes), u16::from_le_bytes),
            Encoding::Utf16Be => decode_utf16(bytes.strip_prefix(UTF16BE_BOM).unwrap_or(bytes), u16::from_be_bytes),
            Encoding::Windows1252 => Ok(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()),
        }
    }
}

fn as_utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|error| Malformed(format!("not UTF-8 from byte {} on", error.valid_up_to())))
}

fn utf16(text: &[u8], mark: &[u8], spell: fn(u16) -> [u8; 2]) -> Result<Vec<u8>, Malformed> {
    let text = as_utf8(text)?;
    let mut bytes = Vec::with_capacity(2 + 2 * text.len());
    bytes.extend_from_slice(mark);
    bytes.extend(text.encode_utf16().flat_map(spell));
    Ok(bytes)
}

fn decode_utf16(bytes: &[u8], spelled: fn([u8; 2]) -> u16) -> Result<String, Malformed> {
    if !bytes.len().is_multiple_of(2) {
        return Err(Malformed("cut short: half a UTF-16 character at the end".to_owned()));
    }
    let units = bytes.chunks_exact(2).map(|pair| spelled([pair[0], pair[1]]));
    char::decode_utf16(units)
        .collect::<Result<String, _>>()
        .map_err(|error| Malformed(format!("not UTF-16: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Encoding> {
        Encoding::NAMES.iter().map(|name| Encoding::named(name).unwrap())
    }

    #[test]
    fn names_and_encodings_belong_together() {
        assert!(all().map(Encoding::name).eq(Encoding::NAMES.iter().copied()));
    }

    #[test]
    fn each_encoding_starts_as_its_readers_expect() {
        let start = |encoding: Encoding| encoding.encode(b"aB".to_vec()).unwrap();
        assert_eq!(start(Encoding::Utf8), b"aB");
        assert_eq!(start(Encoding::Utf8Bom), b"\xef\xbb\xbfaB");
        assert_eq!(start(Encoding::Utf16Le), b"\xff\xfea\0B\0");
        assert_eq!(start(Encoding::Windows1252), b"aB");
    }

    #[test]
    fn a_missing_character_is_named_and_never_replaced() {
        assert_eq!(Encoding::Windows1252.lacks("100 € für Łukasz"), Some('Ł'));
        assert_eq!(Encoding::Windows1252.lacks("রহিম"), Some('র'));
        assert_eq!(Encoding::Windows1252.lacks("Crème brûlée – 5 €"), None);
        assert!(Encoding::Windows1252.encode("রহিম".as_bytes().to_vec()).is_err());
        assert!(
            all()
                .filter(|e| *e != Encoding::Windows1252)
                .all(|e| e.lacks("রহিম😀").is_none())
        );
    }

    #[test]
    fn broken_bytes_are_refused() {
        assert!(Encoding::Utf8.decode(b"a\xff").is_err());
        assert!(Encoding::Utf16Le.decode(b"\xff\xfea").is_err());
        assert!(Encoding::Utf16Le.decode(b"\xff\xfe\x00\xd8").is_err());
    }

    proptest::proptest! {
        #[test]
        fn api_24_text_comes_back_as_it_went(text in proptest::prelude::any::<String>()) {
            for encoding in all() {
                if encoding.lacks(&text).is_none() {
                    // A mark in front is the encoding's own; a file never starts with one in a cell, see `rows`.
                    let text = format!("x{text}");
                    let bytes = encoding.encode(text.clone().into_bytes()).unwrap();
                    proptest::prop_assert_eq!(encoding.decode(&bytes).unwrap(), text);
                }
            }
        }
    }
}
