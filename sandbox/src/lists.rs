//! One list answer or detail of any resource: finds the rows, lets the ordered faults bend them, and writes the envelope.

use std::sync::Arc;

use crate::answer::Answer;
use crate::fault::Fault;
use crate::jsontext::push;
use crate::page::{self, Found, Overlay, Query, Test};
use crate::plan::Plan;
use crate::query::Asked;
use crate::resource::Resource;
use crate::table::Row;
use crate::view::View;
use crate::world::Inner;

/// What one list answer says, whether true or not.
struct Listing<R> {
    rows: Vec<Arc<R>>,
    page: usize,
    limit: usize,
    total: Option<i64>,
}

/// The list as a query asks for it; `further` conditions come from the path.
pub(crate) fn list<V: View>(
    inner: &mut Inner,
    plan: &mut Plan,
    pairs: &[(String, String)],
    further: Vec<Test>,
) -> Answer {
    let asked = Asked {
        pairs,
        limit_max: inner.options.limit_max,
        strict: inner.options.strict,
    };
    let read = V::tests(&asked).and_then(|tests| {
        let tests = tests.into_iter().chain(further).collect();
        Query::read(&asked, &V::GRAMMAR, tests)
    });
    match read {
        Ok(query) => rows::<V>(inner, plan, query),
        Err(complaint) => Answer::error(400, "validation_error", &complaint),
    }
}

/// The rows of a query that was read already.
pub(crate) fn rows<V: View>(inner: &mut Inner, plan: &mut Plan, mut query: Query) -> Answer {
    if !V::PAGED {
        query = Query {
            page: 1,
            limit: usize::MAX,
            descending: false,
            ..query
        };
    }
    let limit = query.limit;
    let clamp = plan.take(|fault| match fault {
        Fault::ClampLimit { rows } if *rows < limit => Some(*rows),
        _ => None,
    });
    query.limit = clamp.unwrap_or(limit).max(1);
    let listing = listing::<V>(inner, plan, &query);
    let pad = plan.take(|fault| match fault {
        Fault::PadRows { bytes } => Some(*bytes),
        _ => None,
    });
    Answer::json(200, write::<V>(inner, &listing, pad, plan))
}

fn listing<V: View>(inner: &mut Inner, plan: &mut Plan, query: &Query) -> Listing<V::Row> {
    let overlay = overlay::<V>(inner, plan);
    let table = V::table(&inner.shop);
    let kept = V::kept(&mut inner.seen);
    let mut rng = inner.options.shuffles().then_some(&mut inner.rng);
    let mut found = page::find(table, query, &overlay, kept, rng.as_deref_mut());
    let flagged = |plan: &mut Plan, wanted: Fault| plan.take(|fault| (*fault == wanted).then_some(())).is_some();
    if query.page > found.last_page && flagged(plan, Fault::LastPageForEver) {
        let last = Query {
            page: found.last_page,
            ..query.clone()
        };
        found = page::find(table, &last, &overlay, kept, rng.as_deref_mut());
    }
    if query.page > 1 && flagged(plan, Fault::RepeatPreviousPage) {
        let before = Query {
            page: query.page - 1,
            ..query.clone()
        };
        found.rows = match kept.last_rows.is_empty() {
            true => page::find(table, &before, &overlay, kept, rng).rows,
            false => kept.last_rows.clone(),
        };
    }
    if flagged(plan, Fault::EmptyPage) {
        found.rows.clear();
    } else {
        kept.last_rows.clone_from(&found.rows);
    }
    let Found { rows, total, .. } = found;
    let told = plan.take(|fault| match fault {
        Fault::WrongTotal { total } if V::PAGED => Some(*total),
        _ => None,
    });
    Listing {
        rows,
        page: query.page,
        limit: query.limit,
        total: told.unwrap_or_else(|| i64::try_from(total).ok()),
    }
}

fn write<V: View>(inner: &Inner, listing: &Listing<V::Row>, pad: Option<usize>, plan: &mut Plan) -> String {
    let due = plan.due();
    let plain = pad.is_none() && !due.iter().any(|due| matches!(due.fault(), Fault::Splice { .. }));
    let mut out = String::with_capacity(200 + listing.rows.len() * 700);
    out.push_str(r#"{"data":["#);
    for (at, row) in listing.rows.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if plain {
            V::write_row(row, &inner.options, &mut out);
            continue;
        }
        let mut text = String::with_capacity(1_000);
        V::write_row(row, &inner.options, &mut text);
        if let Some(bytes) = pad {
            text.pop();
            push(&mut text, format_args!(r#","padding":"{}"}}"#, "x".repeat(bytes)));
        }
        splice(plan, V::RESOURCE, row.id(), &mut text);
        out.push_str(&text);
    }
    out.push(']');
    if V::PAGED {
        let (page, limit) = (listing.page, listing.limit);
        push(
            &mut out,
            format_args!(r#","pagination":{{"page":{page},"limit":{limit}"#),
        );
        if let Some(total) = listing.total {
            push(&mut out, format_args!(r#","total":{total}"#));
        }
        out.push('}');
    }
    out.push_str(r#","status":200}"#);
    out
}

/// One record by the id in the path.
pub(crate) fn detail<V: View>(inner: &mut Inner, plan: &mut Plan, id: Option<i64>) -> Answer {
    let overlay = overlay::<V>(inner, plan);
    let found = id.and_then(|id| page::version(V::table(&inner.shop), &overlay, id));
    let Some(row) = found else {
        return Answer::error(404, "not_found", V::MISSING);
    };
    let text = shown::<V>(inner, &row, plan);
    Answer::json(200, format!(r#"{{"data":{text},"status":200}}"#))
}

/// A record as its detail shows it.
pub(crate) fn shown<V: View>(inner: &Inner, row: &V::Row, plan: &mut Plan) -> String {
    let mut text = String::with_capacity(2_000);
    V::write_detail(row, &inner.options, &mut text);
    splice(plan, V::RESOURCE, row.id(), &mut text);
    V::wrap(row, &inner.options, text)
}

/// The version of the world the request is shown.
fn overlay<V: View>(inner: &Inner, plan: &mut Plan) -> Overlay<V::Row> {
    let now_ms = inner.time.now_ms();
    let journal = &inner.shop.journal;
    let stale = plan.take(|fault| match fault {
        Fault::StaleCopy { lag_ms } => Some(*lag_ms),
        _ => None,
    });
    let mut overlay = match stale {
        Some(lag_ms) => page::as_of(journal, now_ms.saturating_sub(lag_ms)),
        None => Overlay::new(),
    };
    for due in plan.due() {
        if let Fault::HideYoung { order, age_ms } = due.fault()
            && due.names(V::RESOURCE, *order)
        {
            let hidden = page::without_young(journal, V::STAMP, *order, now_ms.saturating_sub(*age_ms));
            if !hidden.is_empty() {
                plan.mark(due.id);
            }
            for (id, shown) in hidden {
                overlay.entry(id).or_insert(shown);
            }
        }
    }
    overlay
}

/// Applies the splices ordered for this record to its text.
fn splice(plan: &mut Plan, resource: Resource, id: i64, text: &mut String) {
    for due in plan.due() {
        if let Fault::Splice { order, splice } = due.fault()
            && due.names(resource, *order)
            && order.is_none_or(|order| order == id)
            && splice.apply(text)
        {
            plan.mark(due.id);
        }
    }
}
