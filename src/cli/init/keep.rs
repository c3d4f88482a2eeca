//! Writes the config and the files of its secrets. What holds a secret is made with mode 0600 before a byte
//! of it is written; a file appears whole or not at all.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use secrecy::ExposeSecret;

use super::answers::{Answers, Keeping};
use super::render::{self, Shown};
use crate::cli::Usage;

/// Nothing is there that would be lost.
pub(super) fn free(path: &Path, force: bool) -> anyhow::Result<()> {
    if path.is_dir() {
        let named = path.join("sync.yaml");
        return Err(Usage(format!(
            "--output: {} is a folder; name the file: {}",
            path.display(),
            named.display()
        ))
        .into());
    }
    if force || path.symlink_metadata().is_err() {
        return Ok(());
    }
    let shown = path.display();
    Err(Usage(format!(
        "{shown} is there already\nhint: --output PATH writes another file, --force this one anew"
    ))
    .into())
}

/// Asked once it is known which files there will be, and before any of them is written.
pub(super) fn free_secrets(answers: &Answers, output: &Path, force: bool) -> anyhow::Result<()> {
    secret_files(answers, output)
        .iter()
        .try_for_each(|(path, _)| free(path, force))
}

fn folder(output: &Path) -> &Path {
    match output.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn secret_files<'a>(answers: &'a Answers, output: &Path) -> Vec<(PathBuf, &'a str)> {
    if answers.keeping != Keeping::File {
        return Vec::new();
    }
    let parts = answers.credentials.parts().into_iter();
    let values = parts.filter_map(|(key, kept)| Some((key, kept?.value()?.expose_secret())));
    values
        .map(|(key, value)| (folder(output).join(render::secret_file(key)), value))
        .collect()
}

/// Secrets first: a config that is there has all it names.
pub(super) fn write(answers: &Answers, output: &Path, force: bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (path, value) in secret_files(answers, output) {
        let folder = folder(&path);
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.with_context(|| format!("making {}", folder.display()))?;
        put(&path, &format!("{value}\n"), 0o600, force)?;
        written.push(path);
    }
    let holds_secret = answers.keeping == Keeping::Inline && answers.credentials.has_values();
    let mode = if holds_secret { 0o600 } else { 0o640 };
    let parent = folder(output);
    std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    put(output, &render::yaml(answers, Shown::AsKept), mode, force)?;
    written.push(output.to_owned());
    Ok(written)
}

fn put(path: &Path, text: &str, mode: u32, force: bool) -> anyhow::Result<()> {
    let doing = || format!("writing {}", path.display());
    let folder = folder(path);
    // Made with mode 0600, under a name that nobody knows.
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
    file.write_all(text.as_bytes()).with_context(doing)?;
    let permissions = std::fs::Permissions::from_mode(mode);
    file.as_file().set_permissions(permissions).with_context(doing)?;
    file.as_file().sync_all().with_context(doing)?;
    // Somebody may have made it since it was looked for.
    match force {
        true => file.persist(path),
        false => file.persist_noclobber(path),
    }
    .with_context(doing)?;
    Ok(())
}
