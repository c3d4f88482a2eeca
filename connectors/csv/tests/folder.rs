use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use contract::{Fault, Place, Published};
use tempfile::{TempDir, tempdir};

use super::folder;

const NAME: &str = "orders-20261123T150709042Z-00000007.csv";
const OTHER: &str = "orders-20261123T150709043Z-00000008.csv";

fn names(dir: &TempDir) -> BTreeSet<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn hidden(name: &str) -> String {
    format!(".{name}.part")
}

#[tokio::test]
async fn sf_01_a_file_appears_whole_under_its_name() {
    let dir = tempdir().unwrap();
    let place = folder(dir.path());
    place.stage(NAME, b"one").await.unwrap();
    assert_eq!(names(&dir), BTreeSet::from([hidden(NAME)]));
    assert!(place.list().await.unwrap().is_empty());
    assert_eq!(place.publish(NAME).await.unwrap(), Published::Now);
    assert_eq!(names(&dir), BTreeSet::from([NAME.to_owned()]));
    assert_eq!(place.read(NAME).await.unwrap(), b"one");
    let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
    assert_eq!(mode & 0o137, 0, "{mode:o}");
}

#[tokio::test]
async fn sf_01_an_earlier_try_is_replaced_whatever_it_left() {
    let dir = tempdir().unwrap();
    let place = folder(dir.path());
    let outside = dir.path().join("outside.txt");
    fs::write(&outside, "precious").unwrap();
    place.stage(NAME, b"a longer first try").await.unwrap();
    place.stage(NAME, b"second").await.unwrap();
    assert_eq!(fs::read(dir.path().join(hidden(NAME))).unwrap(), b"second");
    fs::remove_file(dir.path().join(hidden(NAME))).unwrap();
    symlink(&outside, dir.path().join(hidden(NAME))).unwrap();
    place.stage(NAME, b"third").await.unwrap();
    assert_eq!(place.publish(NAME).await.unwrap(), Published::Now);
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
    assert_eq!(place.read(NAME).await.unwrap(), b"third");
}

#[tokio::test]
async fn sf_17_publishing_again_after_a_crash_changes_nothing() {
    let dir = tempdir().unwrap();
    folder(dir.path()).stage(NAME, b"one").await.unwrap();
    assert_eq!(folder(dir.path()).publish(NAME).await.unwrap(), Published::Now);
    assert_eq!(folder(dir.path()).publish(NAME).await.unwrap(), Published::Before);
    assert_eq!(folder(dir.path()).read(NAME).await.unwrap(), b"one");
    // The importer has taken it away since: still published.
    fs::remove_file(dir.path().join(NAME)).unwrap();
    assert_eq!(folder(dir.path()).publish(NAME).await.unwrap(), Published::Before);
    assert!(names(&dir).is_empty());
}

#[tokio::test]
async fn sf_02_a_taken_name_is_compared_and_never_overwritten() {
    let dir = tempdir().unwrap();
    let place = folder(dir.path());
    place.stage(NAME, b"one").await.unwrap();
    fs::write(dir.path().join(NAME), "another").unwrap();
    let error = place.publish(NAME).await.unwrap_err();
    assert_eq!(error.fault, Fault::Denied);
    assert!(
        error.to_string().contains(NAME) && error.to_string().contains("never overwritten"),
        "{error}"
    );
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), b"another");
    assert!(names(&dir).contains(&hidden(NAME)));
    fs::write(dir.path().join(NAME), "one").unwrap();
    assert_eq!(place.publish(NAME).await.unwrap(), Published::Before);
    assert_eq!(names(&dir), BTreeSet::from([NAME.to_owned()]));
}

#[tokio::test]
async fn sf_02_a_link_or_folder_in_the_name_s_place_is_a_clash() {
    let dir = tempdir().unwrap();
    let place = folder(dir.path());
    fs::write(dir.path().join("same"), "one").unwrap();
    symlink("same", dir.path().join(NAME)).unwrap();
    fs::create_dir(dir.path().join(OTHER)).unwrap();
    for name in [NAME, OTHER] {
        place.stage(name, b"one").await.unwrap();
        assert_eq!(place.publish(name).await.unwrap_err().fault, Fault::Denied);
        assert_eq!(place.read(name).await.unwrap_err().fault, Fault::Denied);
    }
}

#[tokio::test]
async fn only_our_own_unknown_leftovers_are_removed() {
    let dir = tempdir().unwrap();
    let place = folder(dir.path());
    let foreign = [
        ".invoices-00000001.csv.part",
        ".notes",
        "x.part",
        ".orders-7.csv.part",
        "keep.csv",
    ];
    for name in foreign {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    for name in [NAME, OTHER] {
        place.stage(name, b"x").await.unwrap();
    }
    let mut staged = place.staged().await.unwrap();
    staged.sort();
    assert_eq!(staged, [NAME, OTHER]);
    place.discard(&[OTHER.to_owned()]).await.unwrap();
    let left: BTreeSet<String> = foreign.into_iter().map(str::to_owned).chain([hidden(NAME)]).collect();
    assert_eq!(names(&dir), left);
}

#[tokio::test]
async fn sf_23_listing_and_reading_take_plain_names_of_files_only() {
    let dir = tempdir().unwrap();
    let place = folder(dir.path());
    for name in [
        OTHER,
        NAME,
        "stock.csv",
        ".hidden",
        "two words.csv",
        "new\nline.csv",
        "রহিম.csv",
        &"x".repeat(101),
    ] {
        fs::write(dir.path().join(name), "x").unwrap();
    }
    fs::create_dir(dir.path().join("folder.csv")).unwrap();
    symlink("/etc/passwd", dir.path().join("link.csv")).unwrap();
    assert_eq!(place.list().await.unwrap(), [NAME, OTHER, "stock.csv"]);
    for name in [
        "../x",
        "/etc/passwd",
        "",
        ".",
        "..",
        ".hidden",
        "two words.csv",
        "link.csv",
        "folder.csv",
    ] {
        assert_eq!(place.read(name).await.unwrap_err().fault, Fault::Denied, "{name:?}");
    }
    assert_eq!(place.stage("../../etc/x", b"").await.unwrap_err().fault, Fault::Denied);
    assert_eq!(place.publish("a/b.csv").await.unwrap_err().fault, Fault::Denied);
}

#[tokio::test]
async fn a_missing_folder_is_made_once_and_only_one_level() {
    let dir = tempdir().unwrap();
    let place = folder(&dir.path().join("out"));
    assert!(place.list().await.unwrap().is_empty());
    assert!(place.staged().await.unwrap().is_empty());
    assert!(names(&dir).is_empty());
    place.stage(NAME, b"x").await.unwrap();
    let mode = fs::metadata(dir.path().join("out")).unwrap().mode();
    assert_eq!(mode & 0o027, 0, "{mode:o}");

    fs::remove_dir_all(dir.path().join("out")).unwrap();
    for error in [
        place.stage(NAME, b"x").await.unwrap_err(),
        place.publish(NAME).await.unwrap_err(),
        place.list().await.unwrap_err(),
    ] {
        assert_eq!(error.fault, Fault::Transient { reached: false });
        assert!(error.to_string().contains("it is gone"), "{error}");
    }
    let lost = folder(&dir.path().join("no/out"));
    let error = lost.stage(NAME, b"x").await.unwrap_err();
    assert_eq!(error.fault, Fault::Denied);
    assert!(error.to_string().contains("there is no folder"), "{error}");
    assert!(names(&dir).is_empty());
}

#[tokio::test]
async fn a_place_that_cannot_be_written_to_says_what_to_do() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("out");
    fs::write(&file, "x").unwrap();
    let kernel = std::path::Path::new("/sys/kernel");
    for (path, hint) in [(file.as_path(), "must be a folder"), (kernel, "hint:")] {
        let place = folder(path);
        for error in [
            place.stage(NAME, b"x").await.unwrap_err(),
            place.probe().await.unwrap_err(),
        ] {
            assert_eq!(error.fault, Fault::Denied, "{error}");
            let shown = error.to_string();
            assert!(
                shown.contains(hint) && shown.contains(&path.display().to_string()),
                "{shown}"
            );
        }
    }
}

#[tokio::test]
async fn probing_leaves_nothing_behind() {
    let dir = tempdir().unwrap();
    assert_eq!(folder(dir.path()).probe().await.unwrap(), "can be written to");
    assert_eq!(
        folder(&dir.path().join("out")).probe().await.unwrap(),
        "can be made and written to"
    );
    assert!(names(&dir).is_empty());
    assert!(folder(&dir.path().join("no/out")).probe().await.is_err());
}
