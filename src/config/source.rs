//! The bytes of a config file and their text. Whatever the bytes are, the answer is a text or a reason.

use std::io::Read;
use std::path::Path;

use contract::settings::{Problem, Span};

const FILE_BYTES_MAX: usize = 1 << 20;

pub(super) const START: Span = Span { line: 1, column: 1 };

pub(super) fn at(span: Span, message: String, hint: Option<String>) -> Problem {
    Problem {
        span,
        path: String::new(),
        message,
        hint,
    }
}

pub(super) fn end_of(text: &str) -> Span {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Span {
        line: text.matches('\n').count() + 1,
        column: last.chars().count() + 1,
    }
}

/// Gives the bytes, one more than allowed at most, or why there are none and what to do.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, (String, Option<String>)> {
    if path.is_dir() {
        let hint = format!("name the file: {}", path.join("sync.yaml").display());
        return Err(("this is a folder, not a config file".to_owned(), Some(hint)));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    match opened.and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let hint = "name it with --config PATH or $SELORAX_SYNC_CONFIG; sync.yaml.example is one to start from";
            Err(("there is no such file".to_owned(), Some(hint.to_owned())))
        }
        Err(error) => Err((format!("cannot be read: {error}"), None)),
    }
}

/// Gives the text of a config file, or what is wrong with its bytes.
pub(super) fn text_of(bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = format!("the file has more than {FILE_BYTES_MAX} bytes, which no config needs");
        return Err(at(Span::default(), message, None));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let hint = Some("save the file as UTF-8".to_owned());
        return Err(at(START, "the file is UTF-16".to_owned(), hint));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let message = format!("the byte 0x{:02x} is not UTF-8", error.as_bytes()[valid]);
        at(end_of(&before), message, Some("save the file as UTF-8".to_owned()))
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
