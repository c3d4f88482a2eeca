//! Bytes to text, a part at a time, in the encoding that was declared. It must never guess: bytes that mean nothing
//! in it, the mark of another one, and UTF-8 that is called windows-1252 are refused with what they look like.

use encoding_rs::{Decoder, DecoderResult, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::encoding::Encoding;

const MARKS: [(&[u8], Encoding); 3] = [
    (b"\xef\xbb\xbf", Encoding::Utf8),
    (b"\xff\xfe", Encoding::Utf16Le),
    (b"\xfe\xff", Encoding::Utf16Be),
];

pub(super) struct Text {
    encoding: Encoding,
    decoder: Decoder,
    /// The first bytes, until they are enough to tell a mark.
    start: Option<Vec<u8>>,
    utf8: Utf8Watch,
    bytes: u64,
}

/// Whether what is called windows-1252 may be UTF-8 instead.
struct Utf8Watch {
    decoder: Decoder,
    scratch: String,
    fits: bool,
    beyond_ascii: bool,
}

impl Text {
    pub(super) fn new(encoding: Encoding) -> Text {
        let of = match encoding {
            Encoding::Utf8 | Encoding::Utf8Bom => UTF_8,
            Encoding::Utf16Le => UTF_16LE,
            Encoding::Utf16Be => UTF_16BE,
            Encoding::Windows1252 => WINDOWS_1252,
        };
        Text {
            encoding,
            decoder: of.new_decoder_without_bom_handling(),
            start: Some(Vec::new()),
            utf8: Utf8Watch {
                decoder: UTF_8.new_decoder_without_bom_handling(),
                scratch: String::new(),
                fits: true,
                beyond_ascii: false,
            },
            bytes: 0,
        }
    }

    /// The text of the next bytes; the last call has none and says so.
    pub(super) fn take(&mut self, bytes: &[u8], last: bool) -> Result<String, String> {
        let Some(mut start) = self.start.take() else {
            return self.decode(bytes, last);
        };
        start.extend_from_slice(bytes);
        if start.len() < 3 && !last {
            self.start = Some(start);
            return Ok(String::new());
        }
        for (mark, of) in MARKS {
            let Some(rest) = start.strip_prefix(mark) else { continue };
            let own = match self.encoding {
                Encoding::Utf8Bom => Encoding::Utf8,
                own => own,
            };
            if own != of {
                return Err(format!(
                    "it begins with the byte order mark of {}, and `encoding` says {}",
                    of.name(),
                    self.encoding.name()
                ));
            }
            self.bytes = mark.len() as u64;
            return self.decode(rest, last);
        }
        self.decode(&start, last)
    }

    fn decode(&mut self, bytes: &[u8], last: bool) -> Result<String, String> {
        if self.encoding == Encoding::Windows1252 {
            self.utf8.watch(bytes, last);
            if last && self.utf8.fits && self.utf8.beyond_ascii {
                return Err("it is UTF-8, and `encoding` says windows-1252".to_owned());
            }
        }
        let most = self.decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        let mut text = String::with_capacity(most.unwrap_or(bytes.len() * 3 + 16));
        let (result, read) = self
            .decoder
            .decode_to_string_without_replacement(bytes, &mut text, last);
        self.bytes += read as u64;
        match result {
            DecoderResult::InputEmpty => {}
            DecoderResult::Malformed(..) | DecoderResult::OutputFull => {
                return Err(format!("it is not {} near byte {}", self.encoding.name(), self.bytes));
            }
        }
        if text.contains('\0') {
            return Err(format!(
                "a NUL character (U+0000) stands in it; is it {} at all?",
                self.encoding.name()
            ));
        }
        Ok(text)
    }
}

impl Utf8Watch {
    fn watch(&mut self, bytes: &[u8], last: bool) {
        if !self.fits {
            return;
        }
        self.beyond_ascii |= !bytes.is_ascii();
        self.scratch.clear();
        self.scratch.reserve(bytes.len() * 3 + 16);
        let decoded = self
            .decoder
            .decode_to_string_without_replacement(bytes, &mut self.scratch, last);
        self.fits = matches!(decoded.0, DecoderResult::InputEmpty);
    }
}
