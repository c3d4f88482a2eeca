//! The checker must be able to fail, in each of the ways that it looks for.

use std::path::Path;

use crate::support::{Desk, Shop, complaints, names};

#[track_caller]
fn finds(desk: &Desk, shop: &Shop, what: &str) {
    let told = complaints(&desk.out(), shop.world(), desk.setup.max_records).join("\n");
    assert!(told.contains(what), "{what:?} is not in: {told}");
}

fn last(folder: &Path) -> std::path::PathBuf {
    folder.join(names(folder).pop().unwrap())
}

#[test]
fn c4_the_checker_finds_what_it_is_there_for() {
    let shop = Shop::of(30);
    let desk = Desk::new(&shop);
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    let file = last(&desk.out());
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let put = |lines: &[&str]| std::fs::write(&file, lines.join("\n") + "\n").unwrap();

    put(&lines[..lines.len() - 1]);
    finds(&desk, &shop, "is lost");
    put(&[&lines[..], &lines[5..6]].concat());
    finds(&desk, &shop, "twice, or out of order");
    put(&lines[1..]);
    finds(&desk, &shop, "its header");
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    finds(&desk, &shop, "line's end");
    std::fs::write(&file, whole.replacen(".00\"", ".07\"", 1)).unwrap();
    finds(&desk, &shop, "never was so");
    std::fs::write(&file, &whole).unwrap();
    desk.check(&shop);

    let part = desk.out().join(".orders-x.csv.part");
    std::fs::write(&part, "id").unwrap();
    finds(&desk, &shop, "not a name of a finished file");
    std::fs::remove_file(&part).unwrap();
    let id = shop.some_ids(1)[0];
    shop.world()
        .update_order(id, |order| order.note = Some("new".to_owned()));
    finds(&desk, &shop, "not its final version");
}
