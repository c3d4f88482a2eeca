//! `reconcile`: which flows are looked at, what is told of each, and the exit code.

mod json;

use contract::Difference;

use self::json::Report;
use super::summary::grouped;
use super::{DONE, FAILED, MISUSED, UNFINISHED, Usage};
use crate::engine::{Account, Aftermath, Engine, Finding, Flow, Ids, Skip, Voice};

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    ForPeople,
    AsJson,
}

/// `name`: only this flow.
pub(super) async fn reconcile(
    engine: &mut Engine,
    name: Option<&str>,
    aftermath: Aftermath,
    telling: Telling,
    voice: &dyn Voice,
) -> anyhow::Result<u8> {
    let flows = chosen(engine, name)?;
    let mut accounts = Vec::new();
    let mut open = false;
    for flow in flows {
        let account = engine.reconcile(&flow, aftermath).await?;
        // What is in `failures` or waits is on its way, whether or not it was sent before.
        let queue = engine.queue(&flow).await?;
        open |= queue.queued + queue.failed + queue.waiting > 0;
        if telling == Telling::ForPeople {
            tell(voice, &account);
        }
        accounts.push(account);
    }
    let code = code(&accounts, open);
    if telling == Telling::AsJson {
        voice.out(&serde_json::to_string(&Report::of(&accounts, code))?);
    }
    for account in &accounts {
        let why = account.error.as_ref().or(account.cannot.as_ref());
        if let Some(why) = why {
            voice.say(&format!("error: {}: {why}", account.flow));
        }
    }
    Ok(code)
}

/// Flows whose records others require come first, so that those find what they refer to. Flows into files have no
/// part in it: what they have waiting stays where it is.
fn chosen(engine: &mut Engine, name: Option<&str>) -> anyhow::Result<Vec<Flow>> {
    let mut flows: Vec<Flow> = engine.flows.clone();
    flows.sort_by_key(|flow| flow.depth);
    if let Some(name) = name {
        flows.retain(|flow| flow.name == name);
        if let Some(flow) = flows.iter().find(|flow| !flow.goes_by_record()) {
            return Err(Usage(format!(
                "the flow `{name}` writes files to {}, and a file that was fetched cannot be asked what it holds: \
                 `reconcile` is for targets that take records one by one (`type: rest`)",
                flow.target
            ))
            .into());
        }
        return Ok(flows);
    }
    flows.retain(Flow::goes_by_record);
    let (by_record, files): (Vec<Flow>, Vec<Flow>) = engine.flows.drain(..).partition(Flow::goes_by_record);
    engine.flows = by_record;
    // What is read for one flow of a feed is decided on for all.
    let shares = |flow: &Flow| flows.iter().any(|own| own.feed == flow.feed);
    engine.neighbours.extend(files.into_iter().filter(shares));
    if flows.is_empty() {
        let told = "no flow of this config goes to a target that takes records one by one (`type: rest`), so there is \
                    nothing to reconcile";
        return Err(Usage(told.to_owned()).into());
    }
    Ok(flows)
}

/// A record that is only there and not known says nothing against a flow: the target may be filled by others too.
fn code(accounts: &[Account], open: bool) -> u8 {
    let any = |is: fn(&Account) -> bool| accounts.iter().any(is);
    if any(|account| account.error.is_some()) {
        FAILED
    } else if any(|account| account.cannot.is_some()) {
        MISUSED
    } else if open || any(|account| account.remaining() + account.open() > 0) {
        UNFINISHED
    } else {
        DONE
    }
}

fn tell(voice: &dyn Voice, account: &Account) {
    let by = looks(account).join(", ");
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(", by {by}")
    };
    voice.out(&format!("{}: {} to {}{by}", account.flow, account.feed, account.target));
    if account.cannot.is_some() {
        voice.out("  cannot be reconciled");
        return;
    }
    let row = |name: &str, count: u64, more: &str| {
        let line = format!("  {name:<9} {:>9}  {more}", grouped(count));
        voice.out(line.trim_end());
    };
    let print = |ids: &Ids| format!("ids {:016x}", ids.hash);
    match &account.ids {
        Some((ours, theirs)) => {
            row(
                "held",
                account.held,
                &format!("{} with an id, {}", grouped(ours.count), print(ours)),
            );
            row(
                "listed",
                theirs.count,
                &format!("{}; without those that are cancelled or of other flows", print(theirs)),
            );
        }
        None => row("held", account.held, ""),
    }
    row("checked", account.checked(), "");
    row("equal", account.equal, equal_by(account));
    row("missing", account.missing, "");
    row("different", account.different, "");
    if let Some(extra) = account.extra {
        let more = if extra > 0 {
            "this state does not know them; they are left alone"
        } else {
            ""
        };
        row("extra", extra, more);
    }
    if account.unlisted > 0 {
        row(
            "unlisted",
            account.unlisted,
            "they are there, and the listing does not have them: it is not one of all",
        );
    }
    for (skip, count) in &account.skipped {
        row("skipped", *count, reason(*skip));
    }
    tell_first(voice, account);
    if let Some(repair) = &account.repair {
        let told = match (repair.refused, repair.wanted) {
            (true, wanted) => format!(
                "nothing: {} to repair are more than {}; look into it first, then give --at-most {wanted}",
                grouped(wanted),
                grouped(repair.at_most)
            ),
            (false, wanted) => format!("{} of {}, looked at again", grouped(repair.repaired), grouped(wanted)),
        };
        voice.out(&format!("  repaired  {told}"));
    }
    if account.error.is_some() {
        voice.out("  not finished");
    }
}

fn tell_first(voice: &dyn Voice, account: &Account) {
    let more = |shown: usize, count: u64| match count.saturating_sub(shown as u64) {
        0 => {}
        more => voice.out(&format!("  … and {} more", grouped(more))),
    };
    for finding in &account.first_missing {
        voice.out(&format!("  missing: {}", named(finding)));
    }
    more(account.first_missing.len(), account.missing);
    for finding in &account.first_different {
        let mut told: Vec<String> = finding.fields.iter().map(difference).collect();
        if let Some(found) = &finding.found {
            told.insert(0, format!("it is there as {}", found.0));
        }
        voice.out(&format!("  different: {}: {}", named(finding), told.join(", ")));
    }
    more(account.first_different.len(), account.different);
    if !account.first_extra.is_empty() {
        let ids: Vec<&str> = account.first_extra.iter().map(|id| id.0.as_str()).collect();
        voice.out(&format!("  extra: {}", ids.join(", ")));
        more(ids.len(), account.extra.unwrap_or(0));
    }
    for skipped in account.first_skipped.iter().filter(|skipped| !skipped.why.is_empty()) {
        voice.out(&format!("  skipped: {}: {}", skipped.key.0, skipped.why));
    }
}

fn named(finding: &Finding) -> String {
    match &finding.id {
        Some(id) => format!("{} ({})", finding.key.0, id.0),
        None => finding.key.0.clone(),
    }
}

fn difference(difference: &Difference) -> String {
    let (theirs, ours) = (difference.theirs.to_json(), difference.ours.to_json());
    format!("{} {theirs} instead of {ours}", difference.field)
}

/// How the target can be looked at.
fn looks(account: &Account) -> Vec<&'static str> {
    let can = &account.abilities;
    let looks = [(can.list, "list"), (can.compare, "read"), (can.find, "find")];
    looks.into_iter().filter(|(can, _)| *can).map(|(_, by)| by).collect()
}

fn equal_by(account: &Account) -> &'static str {
    match account.abilities.compare {
        true => "",
        false => "they are there; without `read` and `compare` their content is not compared",
    }
}

fn word(skip: Skip) -> &'static str {
    match skip {
        Skip::Waiting => "waiting",
        Skip::Parked => "parked",
        Skip::Changed => "changed",
        Skip::Untold => "untold",
        Skip::Moved => "moved",
        Skip::Remapped => "remapped",
        Skip::Gone => "gone",
        Skip::Unclear => "unclear",
    }
}

fn reason(skip: Skip) -> &'static str {
    match skip {
        Skip::Waiting => "something of them is on its way",
        Skip::Parked => "in `failures`",
        Skip::Changed => "changed since they were sent; the next pass sees to it",
        Skip::Untold => "changed since they were sent, and the target has no `update`",
        Skip::Moved => "refer to a record that has another id there by now; replay sends them with that",
        Skip::Remapped => "sent by another mapping; --backfill sends what differs by this one",
        Skip::Gone => "no longer at the source, so there is nothing to compare with",
        Skip::Unclear => "could not be read, mapped or looked for",
    }
}
