//! Files that others drop into a folder, through the seam that every place has.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use contract::{Away, Entry, Fault, Place};
use tempfile::tempdir;

use super::super::folder::Folder;

fn place(path: &Path) -> Folder {
    Folder::new(path.to_owned(), None)
}

async fn only(place: &Folder) -> Entry {
    let entries = place.entries().await.unwrap();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

async fn whole(place: &Folder, name: &str) -> Vec<u8> {
    let (mut reading, mut bytes) = (place.open(name).await.unwrap(), Vec::new());
    while let Some(part) = reading.next().await.unwrap() {
        assert!(!part.is_empty());
        bytes.extend(part);
    }
    assert_eq!(reading.next().await.unwrap(), None);
    bytes
}

#[tokio::test]
async fn sf_23_a_listing_shows_regular_files_with_plain_names() {
    let dir = tempdir().unwrap();
    assert_eq!(place(&dir.path().join("none")).entries().await.unwrap(), []);
    let place = place(dir.path());
    for name in ["stock.csv", ".stock.csv.part", "two words.csv"] {
        fs::write(dir.path().join(name), "abc").unwrap();
    }
    fs::create_dir(dir.path().join("folder.csv")).unwrap();
    symlink("stock.csv", dir.path().join("link.csv")).unwrap();
    let entry = only(&place).await;
    assert_eq!((entry.name.as_str(), entry.size), ("stock.csv", 3));
    assert!(entry.modified.is_some_and(|at| at > 1_600_000_000_000));
    assert_eq!(place.entry("stock.csv").await.unwrap(), Some(entry));
    for name in ["none.csv", "folder.csv", "link.csv"] {
        assert_eq!(place.entry(name).await.unwrap(), None, "{name}");
    }
    assert_eq!(place.entry("../x").await.unwrap_err().fault, Fault::Denied);
}

#[tokio::test]
async fn sf_20_a_file_comes_in_parts() {
    let dir = tempdir().unwrap();
    let place = place(dir.path());
    let bytes: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    fs::write(dir.path().join("stock.csv"), &bytes).unwrap();
    fs::write(dir.path().join("empty.csv"), "").unwrap();
    assert_eq!(whole(&place, "stock.csv").await, bytes);
    assert_eq!(whole(&place, "empty.csv").await, b"");
    let Err(error) = place.open("none.csv").await else {
        panic!("there is no such file")
    };
    assert_eq!(error.fault, Fault::Transient { reached: false });
}

#[tokio::test]
async fn sf_07_what_came_in_a_file_s_place_is_not_touched() {
    let dir = tempdir().unwrap();
    let place = place(dir.path());
    let path = dir.path().join("stock.csv");
    fs::write(&path, "one").unwrap();
    let entry = only(&place).await;
    fs::write(&path, "another").unwrap();
    assert_eq!(place.put_away(&entry, "archive", "a.csv").await.unwrap(), Away::Changed);
    assert_eq!(place.remove(&entry).await.unwrap(), Away::Changed);
    assert_eq!(fs::read(&path).unwrap(), b"another");
    let entry = only(&place).await;
    assert_eq!(place.remove(&entry).await.unwrap(), Away::Done);
    assert_eq!(place.remove(&entry).await.unwrap(), Away::Gone);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_is_put_away_once_and_replaces_none() {
    let dir = tempdir().unwrap();
    let place = place(dir.path());
    let (path, away) = (dir.path().join("stock.csv"), dir.path().join("archive/a.csv"));
    fs::write(&path, "one").unwrap();
    let entry = only(&place).await;
    assert_eq!(place.put_away(&entry, "archive", "a.csv").await.unwrap(), Away::Done);
    assert_eq!(place.put_away(&entry, "archive", "a.csv").await.unwrap(), Away::Gone);
    assert_eq!((fs::read(&away).unwrap(), path.exists()), (b"one".to_vec(), false));
    fs::write(&path, "two").unwrap();
    let entry = only(&place).await;
    let error = place.put_away(&entry, "archive", "a.csv").await.unwrap_err();
    assert_eq!(error.fault, Fault::Conflict);
    assert!(error.to_string().contains("archive/a.csv is there already"), "{error}");
    assert_eq!(
        (fs::read(&away).unwrap(), fs::read(&path).unwrap()),
        (b"one".to_vec(), b"two".to_vec())
    );
    // A move in two steps, on a file system without renaming that does not replace, was broken off.
    fs::hard_link(&path, dir.path().join("archive/b.csv")).unwrap();
    assert_eq!(place.put_away(&entry, "archive", "b.csv").await.unwrap(), Away::Done);
    assert!(!path.exists());
    for (folder, name) in [("../x", "a"), ("a/b", "a"), ("archive", "../a")] {
        assert_eq!(
            place.put_away(&entry, folder, name).await.unwrap_err().fault,
            Fault::Denied
        );
    }
}

#[tokio::test]
async fn a_folder_that_is_a_link_is_not_followed() {
    let (dir, outside) = (tempdir().unwrap(), tempdir().unwrap());
    let place = place(dir.path());
    symlink(outside.path(), dir.path().join("archive")).unwrap();
    fs::write(dir.path().join("stock.csv"), "one").unwrap();
    let entry = only(&place).await;
    assert_eq!(
        place.put_away(&entry, "archive", "a.csv").await.unwrap_err().fault,
        Fault::Denied
    );
    assert!(place.note("archive", "a.txt", b"x").await.is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_note_stands_whole_in_the_place_of_an_earlier_one() {
    let dir = tempdir().unwrap();
    let place = place(dir.path());
    for text in ["first", "second"] {
        place
            .note("rejected", "stock.csv.error.txt", text.as_bytes())
            .await
            .unwrap();
        let folder = dir.path().join("rejected");
        assert_eq!(fs::read_to_string(folder.join("stock.csv.error.txt")).unwrap(), text);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }
}
