//! Files and functions that have grown too long to be read in one go. They are told, and fail nothing.

use std::path::{Path, PathBuf};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

pub(crate) fn print(root: &Path) -> anyhow::Result<()> {
    let mut files = Vec::new();
    sources(root, &mut files)?;
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let shown = file.strip_prefix(root).unwrap_or(&file).display();
        let lines = text.lines().count();
        if lines > FILE_LINES {
            println!("   {lines:>4} lines  {shown}");
        }
        for (at, name, lines) in long_functions(&text) {
            println!("   {lines:>4} lines  {shown}:{at} fn {name}");
        }
    }
    Ok(())
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            sources(&path, found)?;
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// Line, name and length. In formatted code a function ends at the brace that stands as deep as it began.
fn long_functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function(line) else { continue };
        let depth = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(depth));
        let length = lines[at..].iter().position(|line| *line == end).map_or(0, |n| n + 1);
        if length > FUNCTION_LINES {
            long.push((at + 1, name.to_owned(), length));
        }
    }
    long
}

fn function(line: &str) -> Option<&str> {
    // A body on the same line, and a signature without a body, are not long.
    let line = line.trim_start();
    if line.ends_with([';', '}']) {
        return None;
    }
    let (before, after) = line.split_once("fn ")?;
    let qualifiers = ["", "pub", "pub(crate)", "pub(super)", "async", "const", "unsafe"];
    let plain = before.split_whitespace().all(|word| qualifiers.contains(&word));
    plain.then(|| after.split(['(', '<']).next().unwrap_or(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_is_told_with_its_line_and_length() {
        let body = "        let _ = 1;\n".repeat(FUNCTION_LINES);
        let text = format!(
            "impl X {{\n    fn short() {{\n    }}\n    pub(super) async fn long<T>(\n        t: T,\n    ) {{\n{body}    }}\n}}\n"
        );
        assert_eq!(long_functions(&text), [(4, "long".to_owned(), FUNCTION_LINES + 4)]);
    }
}
