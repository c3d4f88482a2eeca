//! The limits that a backfill is measured against: a program that fetches the same pages in the same way
//! and does as little with them as can be done. It must never take a short cut that the daemon could not
//! take too: the pages are parsed whole, and every page ends with a commit that is on the disk.
//!
//! `bare parse URL TOKEN` only parses the pages. `bare write URL TOKEN FOLDER` also writes the columns of the
//! benchmark's mapping to CSV files of a thousand rows, and moves a cursor in a SQLite file page by page.

mod pages;
mod sheet;
mod state;

use anyhow::Context;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the daemon's files hold by default.
const FILE_ROWS: usize = 1000;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = match args.as_slice() {
        ["parse", url, token] => runtime.block_on(parse(url, token)),
        ["write", url, token, folder] => runtime.block_on(write(url, token, std::path::Path::new(folder))),
        _ => anyhow::bail!("usage: bare parse URL TOKEN | bare write URL TOKEN FOLDER"),
    }?;
    println!("{rows}");
    Ok(())
}

async fn parse(url: &str, token: &str) -> anyhow::Result<usize> {
    let mut pages = pages::Pages::new(url, token)?;
    let mut seen = 0;
    while let Some(page) = pages.next().await? {
        seen += pages::rows(&page)?.len();
    }
    Ok(seen)
}

async fn write(url: &str, token: &str, folder: &std::path::Path) -> anyhow::Result<usize> {
    let mut pages = pages::Pages::new(url, token)?;
    let mut state = state::State::open(&folder.join("bare.db")).await?;
    let mut sheet = sheet::Sheet::new()?;
    let (mut seen, mut files) = (0, 0);
    loop {
        let page = pages.next().await?;
        let rows = page.as_ref().map_or(Ok(&[][..]), pages::rows)?;
        for row in rows {
            sheet.write(row)?;
        }
        seen += rows.len();
        if sheet.rows() >= FILE_ROWS || (rows.is_empty() && sheet.rows() > 0) {
            files += 1;
            sheet.finish(folder, files).context("writing a file")?;
            sheet = sheet::Sheet::new()?;
        }
        if rows.is_empty() {
            return Ok(seen);
        }
        state.moved(pages.at(), seen).await?;
    }
}
