//! `GET /orders`: finds the page, lets the ordered faults bend it, and writes the envelope.

use std::sync::Arc;

use crate::answer::Answer;
use crate::fault::Fault;
use crate::http::Incoming;
use crate::jsontext::push;
use crate::options::{RowShape, Ties};
use crate::order::{Form, Order};
use crate::page::{self, Found, Query};
use crate::plan::Plan;
use crate::platform::{overlay, splice};
use crate::world::Inner;

/// What one list answer says, whether true or not.
struct Listing {
    rows: Vec<Arc<Order>>,
    page: usize,
    limit: usize,
    total: Option<i64>,
}

pub(crate) fn orders(inner: &mut Inner, plan: &mut Plan, incoming: &Incoming) -> Answer {
    let read = Query::read(incoming.pairs(), inner.options.limit_max, inner.options.strict);
    let mut query = match read {
        Ok(query) => query,
        Err(complaint) => return Answer::error(400, "validation_error", &complaint),
    };
    let limit = query.limit;
    let clamp = plan.take(|fault| match fault {
        Fault::ClampLimit { rows } if *rows < limit => Some(*rows),
        _ => None,
    });
    query.limit = clamp.unwrap_or(limit).max(1);
    let listing = listing(inner, plan, &query);
    let pad = plan.take(|fault| match fault {
        Fault::PadRows { bytes } => Some(*bytes),
        _ => None,
    });
    let form = match inner.options.rows {
        RowShape::WithLines => Form::Lined,
        RowShape::Bare => Form::Bare,
    };
    Answer::json(200, write(&listing, form, pad, plan))
}

fn listing(inner: &mut Inner, plan: &mut Plan, query: &Query) -> Listing {
    let overlay = overlay(inner, plan);
    let (shop, kept) = (&inner.shop, &mut inner.selected);
    let shuffle = inner.options.ties == Ties::Shuffled;
    let mut found = page::find(shop, query, &overlay, kept, shuffle.then_some(&mut inner.rng));
    if query.page > found.last_page
        && plan
            .take(|fault| (*fault == Fault::LastPageForEver).then_some(()))
            .is_some()
    {
        let last = Query {
            page: found.last_page,
            ..query.clone()
        };
        found = page::find(shop, &last, &overlay, kept, shuffle.then_some(&mut inner.rng));
    }
    if query.page > 1
        && plan
            .take(|fault| (*fault == Fault::RepeatPreviousPage).then_some(()))
            .is_some()
    {
        let before = Query {
            page: query.page - 1,
            ..query.clone()
        };
        found.rows = match inner.last_rows.is_empty() {
            true => page::find(shop, &before, &overlay, kept, shuffle.then_some(&mut inner.rng)).rows,
            false => inner.last_rows.clone(),
        };
    }
    if plan.take(|fault| (*fault == Fault::EmptyPage).then_some(())).is_some() {
        found.rows.clear();
    } else {
        inner.last_rows.clone_from(&found.rows);
    }
    let Found { rows, total, .. } = found;
    let told = plan.take(|fault| match fault {
        Fault::WrongTotal { total } => Some(*total),
        _ => None,
    });
    let total = told.unwrap_or_else(|| i64::try_from(total).ok());
    Listing {
        rows,
        page: query.page,
        limit: query.limit,
        total,
    }
}

fn write(listing: &Listing, form: Form, pad: Option<usize>, plan: &mut Plan) -> String {
    let due = plan.due();
    let plain = pad.is_none()
        && !due
            .iter()
            .any(|(_, fault)| matches!(fault.as_ref(), Fault::Splice { .. }));
    let mut out = String::with_capacity(200 + listing.rows.len() * if form == Form::Bare { 450 } else { 1_000 });
    out.push_str(r#"{"data":["#);
    for (at, order) in listing.rows.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        if plain {
            order.write(&mut out, form);
            continue;
        }
        let mut row = String::with_capacity(1_000);
        order.write(&mut row, form);
        if let Some(bytes) = pad {
            row.pop();
            push(&mut row, format_args!(r#","padding":"{}"}}"#, "x".repeat(bytes)));
        }
        splice(plan, &due, order.id, &mut row);
        out.push_str(&row);
    }
    push(
        &mut out,
        format_args!(r#"],"pagination":{{"page":{},"limit":{}"#, listing.page, listing.limit),
    );
    if let Some(total) = listing.total {
        push(&mut out, format_args!(r#","total":{total}"#));
    }
    out.push_str(r#"},"status":200}"#);
    out
}
