//! The platform's write requests: reads the body, changes the shop as the API, and answers with the record as it is now.

use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::customer::Customer;
use crate::endpoint::Write;
use crate::fault::{Canned, Fault};
use crate::fields::{Unknown, int, paisa, patch, unfit};
use crate::http::Incoming;
use crate::journal::By;
use crate::jsontext::push;
use crate::lists;
use crate::metafields;
use crate::options::StatusKey;
use crate::order::{Line, Order};
use crate::plan::Plan;
use crate::resource::Resource;
use crate::table::Row;
use crate::view::{Customers, Orders, View};
use crate::webhook;
use crate::world::Inner;
use crate::writegoods;

pub(crate) type Body = Map<String, Value>;

/// What a write comes to; `Err` is the refusal, and then nothing was changed.
pub(crate) type Outcome = Result<Answer, Answer>;

/// Carries a write out, unless an ordered fault says otherwise.
pub(crate) fn answer(inner: &mut Inner, plan: &mut Plan, incoming: &Incoming, write: Write) -> Answer {
    let ordered = plan.take(|fault| match fault {
        Fault::WriteRefused | Fault::WriteIgnored | Fault::WriteFailed { .. } => Some(fault.clone()),
        _ => None,
    });
    match ordered {
        Some(Fault::WriteRefused) => refuse("Validation failed"),
        Some(Fault::WriteIgnored) => done(200, "Updated successfully", "{}"),
        Some(Fault::WriteFailed { written }) => {
            if written {
                carry_out(inner, plan, incoming, write);
            }
            column_missing()
        }
        _ => carry_out(inner, plan, incoming, write),
    }
}

fn carry_out(inner: &mut Inner, plan: &mut Plan, incoming: &Incoming, write: Write) -> Answer {
    let body = match read(incoming) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    inner.shop.journal.by = By::Api;
    let outcome = perform(inner, plan, &body, write);
    inner.shop.journal.by = By::Shop;
    outcome.unwrap_or_else(|refusal| refusal)
}

/// An empty body is an empty object.
pub(crate) fn read(incoming: &Incoming) -> Result<Body, Answer> {
    if incoming.body.is_empty() {
        return Ok(Body::new());
    }
    serde_json::from_slice(&incoming.body).map_err(|_| Answer::error(400, "invalid_json", "Invalid JSON body"))
}

fn perform(inner: &mut Inner, plan: &mut Plan, body: &Body, write: Write) -> Outcome {
    match write {
        Write::Create(Resource::Orders) => create_order(inner, plan, body),
        Write::Update(Resource::Orders, id) => update_order(inner, plan, body, id),
        Write::OrderStatus(id) => order_status(inner, plan, body, id),
        Write::Create(Resource::Customers) => create_customer(inner, plan, body),
        Write::Update(Resource::Customers, id) => update_customer(inner, plan, body, id),
        Write::Delete(Resource::Customers, id) => delete_customer(inner, id),
        Write::Subscribe => webhook::create(inner, body),
        Write::Define => Ok(metafields::define(inner, body)),
        Write::PutValues => Ok(metafields::put_values(inner, body)),
        goods => writegoods::perform(inner, plan, body, goods),
    }
}

pub(crate) fn refuse(message: &str) -> Answer {
    Answer::error(400, "validation_error", message)
}

pub(crate) fn missing<V: View>() -> Answer {
    Answer::error(404, "not_found", V::MISSING)
}

/// What a write to a table with a wrong column list says.
pub(crate) fn column_missing() -> Answer {
    let body = r#"{"error":"ER_BAD_FIELD_ERROR: Unknown column 'updated_at' in 'field list'","status":500}"#;
    let mut answer = Canned::error(500, "", "");
    body.clone_into(&mut answer.body);
    Answer::canned(answer)
}

pub(crate) fn done(code: u16, message: &str, data: &str) -> Answer {
    let mut out = String::with_capacity(data.len() + 100);
    push(
        &mut out,
        format_args!(r#"{{"message":"{message}","data":{data},"status":{code}}}"#),
    );
    Answer::json(code, out)
}

/// The record as its detail would show it.
pub(crate) fn shown<V: View>(inner: &Inner, plan: &mut Plan, code: u16, message: &str, id: i64) -> Outcome {
    let row = V::table(&inner.shop).get(id).cloned().ok_or_else(missing::<V>)?;
    Ok(done(code, message, &lists::shown::<V>(inner, &row, plan)))
}

/// The record a write is for, to be changed and put back.
pub(crate) fn copy_of<V: View>(inner: &Inner, id: Option<i64>) -> Result<V::Row, Answer> {
    let found = id.and_then(|id| V::table(&inner.shop).get(id));
    found.map(|row| row.as_ref().clone()).ok_or_else(missing::<V>)
}

fn order_status(inner: &mut Inner, plan: &mut Plan, body: &Body, id: Option<i64>) -> Outcome {
    let mut order = copy_of::<Orders>(inner, id)?;
    let key = match inner.options.status_key {
        StatusKey::Status => body.get("status"),
        StatusKey::OrderStatus => body.get("order_status"),
        StatusKey::Either => body.get("status").or_else(|| body.get("order_status")),
    };
    // Another name for the status is answered as if all were well.
    if let Some(status) = key {
        let status = status.as_str().filter(|status| !status.is_empty());
        status
            .ok_or_else(|| refuse("Invalid status"))?
            .clone_into(&mut order.status);
        put_order(inner, order.clone());
    }
    shown::<Orders>(inner, plan, 200, "Order status updated successfully", order.id)
}

fn update_order(inner: &mut Inner, plan: &mut Plan, body: &Body, id: Option<i64>) -> Outcome {
    let mut order = copy_of::<Orders>(inner, id)?;
    check::<Order>(body)?;
    patch(&mut order, body, Unknown::Ignore);
    let id = order.id;
    put_order(inner, order);
    shown::<Orders>(inner, plan, 200, "Order updated successfully", id)
}

fn put_order(inner: &mut Inner, mut order: Order) {
    let now_ms = inner.time.now_ms();
    order.touch(now_ms);
    let shop = &mut inner.shop;
    shop.orders.replace(order, &mut shop.journal, now_ms);
}

/// Refuses values that do not suit their fields.
pub(crate) fn check<R: crate::fields::Fields>(body: &Body) -> Result<(), Answer> {
    match unfit::<R>(body) {
        Some(name) => Err(refuse(&format!("Invalid value for {name}"))),
        None => Ok(()),
    }
}

fn create_order(inner: &mut Inner, plan: &mut Plan, body: &Body) -> Outcome {
    let now_ms = inner.time.now_ms();
    let mut fields = body.clone();
    let items = fields.remove("items").or_else(|| fields.remove("line_items"));
    let items = items
        .as_ref()
        .and_then(Value::as_array)
        .filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| refuse("items are required"))?;
    if let Some(buyer) = fields.remove("customer_id") {
        fields.insert("user_id".to_owned(), buyer);
    }
    check::<Order>(&fields)?;
    let lines: Option<Vec<Line>> = items.iter().map(|item| line(inner, item)).collect();
    let mut order = inner.shop.random_order(now_ms);
    order = Order {
        lines: lines.ok_or_else(|| refuse("Invalid items"))?,
        status: "pending".to_owned(),
        user_id: None,
        discount: 0,
        total_error: 0,
        note: None,
        ..order
    };
    patch(&mut order, &fields, Unknown::Ignore);
    let code = inner.options.created_code;
    let id = inner.shop.insert_order(order, now_ms);
    shown::<Orders>(inner, plan, code, "Order created successfully", id)
}

/// A line names a thing kept in stock, or says name and price itself.
fn line(inner: &mut Inner, item: &Value) -> Option<Line> {
    let number = |name: &str| item.get(name).and_then(int);
    let sku_id = number("sku_id").or_else(|| number("variant_id"));
    let product = sku_id.and_then(|sku_id| inner.shop.products.get(inner.shop.product_of(sku_id)?));
    let variant = product.and_then(|product| product.variant(sku_id?));
    let name = item.get("name").and_then(Value::as_str).map(str::to_owned);
    let line = Line {
        id: 0,
        product_id: product.map(|product| product.id),
        variant_id: variant.and(sku_id),
        bundle_id: None,
        name: name.or_else(|| product.map(|product| product.name.clone()))?,
        price: match item.get("price") {
            Some(price) => paisa(price)?,
            None => variant?.price,
        },
        quantity: Some(number("quantity").unwrap_or(1)),
        image: None,
        sku: variant.and_then(|variant| variant.sku_code.clone()),
    };
    Some(Line {
        id: inner.shop.maker.fresh_line(),
        ..line
    })
}

fn create_customer(inner: &mut Inner, plan: &mut Plan, body: &Body) -> Outcome {
    let now_ms = inner.time.now_ms();
    check::<Customer>(body)?;
    if !body.get("name").is_some_and(Value::is_string) {
        return Err(refuse("name is required"));
    }
    let mut customer = Customer {
        address_form: crate::customer::AddressForm::Null,
        ..Customer::default()
    };
    patch(&mut customer, body, Unknown::Ignore);
    let made = inner.shop.people.customer(now_ms, now_ms);
    let customer = Customer {
        id: made.id,
        store_id: made.store_id,
        created_ms: made.created_ms,
        updated_ms: made.created_ms,
        ..customer
    };
    let code = inner.options.created_code;
    let id = inner.shop.insert_customer(customer, now_ms);
    shown::<Customers>(inner, plan, code, "Customer created successfully", id)
}

fn update_customer(inner: &mut Inner, plan: &mut Plan, body: &Body, id: Option<i64>) -> Outcome {
    let mut customer = copy_of::<Customers>(inner, id)?;
    check::<Customer>(body)?;
    patch(&mut customer, body, Unknown::Ignore);
    let now_ms = inner.time.now_ms();
    customer.touch(now_ms);
    let id = customer.id;
    let shop = &mut inner.shop;
    shop.customers.replace(customer, &mut shop.journal, now_ms);
    shown::<Customers>(inner, plan, 200, "Customer updated successfully", id)
}

fn delete_customer(inner: &mut Inner, id: Option<i64>) -> Outcome {
    let now_ms = inner.time.now_ms();
    let shop = &mut inner.shop;
    if id.is_some_and(|id| shop.customers.remove(id, &mut shop.journal, now_ms)) {
        return Ok(done(200, "Customer deleted successfully", "null"));
    }
    Err(missing::<Customers>())
}
