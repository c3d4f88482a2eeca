//! The limits that a backfill is measured against: a program that fetches the same pages in the same way
//! and does as little with them as can be done. It must never take a short cut that the daemon could not
//! take too: the pages are parsed whole, and every page ends with a commit that is on the disk.
//!
//! `bare parse URL TOKEN` only parses the pages. `bare write URL TOKEN FOLDER` also writes the columns of the
//! benchmark's mapping to CSV files of a thousand rows, and moves a cursor in a SQLite file page by page. `bare push URL
//! TOKEN ERP ERP_TOKEN CONCURRENCY` posts a record for each order to an ERP, so many at once, and keeps nothing;
//! `bare lines URL` counts what came of it.

mod pages;
mod push;
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
        ["lines", url] => runtime.block_on(lines(url)),
        ["push", url, token, erp, erp_token, concurrency] => {
            let concurrency = concurrency.parse().context("concurrency is a whole number")?;
            runtime.block_on(push::push(url, token, &push::Erp::new(erp, erp_token)?, concurrency))
        }
        _ => anyhow::bail!(
            "usage: bare parse URL TOKEN | bare write URL TOKEN FOLDER | bare push URL TOKEN ERP ERP_TOKEN CONCURRENCY"
        ),
    }?;
    println!("{rows}");
    Ok(())
}

/// What the pretend ERP committed, a line each.
async fn lines(url: &str) -> anyhow::Result<usize> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let answer = client.get(url).send().await?.error_for_status()?;
    Ok(answer.text().await?.lines().count())
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
